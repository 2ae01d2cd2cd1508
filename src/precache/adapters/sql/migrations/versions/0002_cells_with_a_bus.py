"""Add the transport URL of a cell, and the RPC version of a host.

Both columns may be empty, because processes of the previous release may still write to these tables.
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
