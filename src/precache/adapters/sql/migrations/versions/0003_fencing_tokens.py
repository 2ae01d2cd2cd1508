"""Every claim of a job has a number, the fencing token.

The default is for processes of the previous release, which may still use these tables: they do not know the column and
never change it. If one of them takes a job over, the job's owner shows it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("lease_token", sa.Integer, nullable=False, server_default=sa.text("0")))
