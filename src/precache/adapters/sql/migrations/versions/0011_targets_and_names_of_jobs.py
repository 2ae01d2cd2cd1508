"""Add target and name to jobs.

Jobs without a target were made by the previous release, for one aggregate or one host. Conductors of the previous
release send notifications with an empty aggregate for other jobs.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("name", sa.String(255)))
    op.add_column("jobs", sa.Column("target", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")))
