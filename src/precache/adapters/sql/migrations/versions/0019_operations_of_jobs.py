"""Add what a job does: it caches images, or does another operation.

The default is for the previous release, whose jobs cache images.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("operation", sa.String(32), nullable=False, server_default=sa.text("'cache'")))
