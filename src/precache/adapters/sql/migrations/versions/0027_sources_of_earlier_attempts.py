"""Add from where the bytes of tasks came before a pause or a failed attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("earlier_image_service", "earlier_hosts", "earlier_cache"):
        op.add_column("tasks", sa.Column(name, sa.BigInteger))
