"""Add which claim of a job was the last one whose hosts have stopped.

The default is for the previous release: after a claim of its conductors, hosts may still work.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stopped_token", sa.Integer, nullable=False, server_default=sa.text("0")))
