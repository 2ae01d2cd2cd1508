"""Jobs keep the metadata of their aggregate.

Jobs without a value, of the release before or from its processes that still run against these tables, are announced
without metadata.
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
