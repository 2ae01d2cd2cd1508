"""Cells have a way to their bus, and hosts say which messages they understand.

Both columns do without a value from the release before, whose processes may still run against these tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = sa.String(255)
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    # Plain ADD COLUMN on SQLite too: a new copy of the table would drop the one that foreign keys point to.
    op.add_column("cells", sa.Column("transport_url", LONG_TEXT))
    op.add_column("hosts", sa.Column("rpc_version", NAME, nullable=False, server_default=sa.text("''")))
