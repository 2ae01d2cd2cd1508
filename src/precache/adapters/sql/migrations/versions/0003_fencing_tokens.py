"""Every claim of a job has a number, the fencing token.

The default is for the release before, whose processes may still run against these tables: they neither know nor change
the column. A job that one of them takes over is told apart by its owner.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("lease_token", sa.Integer, nullable=False, server_default=sa.text("0")))
