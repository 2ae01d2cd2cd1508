"""Add the site that an aggregate gives to a host, beside the one that the host announces."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("aggregate_site", sa.String(255)))
