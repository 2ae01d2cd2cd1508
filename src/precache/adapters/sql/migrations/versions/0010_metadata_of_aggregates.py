"""Add the metadata of the aggregate to jobs.

Jobs without a value were made by the previous release; their notifications have no metadata.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("aggregate_metadata", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"))
    )
