"""Add what has made the raw disk of a task's image: until now qemu-img was the only one."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("decoded_by", sa.String(255), nullable=False, server_default=sa.text("''")))
