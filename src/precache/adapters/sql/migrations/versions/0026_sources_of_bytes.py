"""Add from where the bytes of tasks came: until now all of them came from the image service."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_SOURCES = ("bytes_image_service", "bytes_hosts", "bytes_cache")


def upgrade() -> None:
    op.add_column("tasks", sa.Column("parent", sa.String(255)))
    for name in _SOURCES:
        op.add_column("tasks", sa.Column(name, sa.BigInteger))
        op.add_column("job_counts", sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE job_counts SET bytes_image_service = bytes_done")
