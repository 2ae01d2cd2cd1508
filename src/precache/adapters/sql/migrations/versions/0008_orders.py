"""Add the orders of a job, one for each image: the image and its options.

A job without a value was made by the previous release: it orders every image of `job_images` without options.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("orders", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")))
