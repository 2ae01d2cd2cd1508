"""Jobs have one order for each image: the image, and how it is to be cached.

Jobs without a value, of the release before or from its processes that still run against these tables, order every image
of `job_images` without options.
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
