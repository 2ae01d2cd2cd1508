"""Add which image cache a host has, so that hosts with a shared one are known."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("cache_id", sa.String(255)))
