"""Jobs keep the idempotency key of their request, and the digest of its body.

Both are empty in jobs without a key, as in all jobs of the previous release, which works with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("idempotency_key", sa.String(64)))
    op.add_column("jobs", sa.Column("idempotency_body", sa.String(64)))
    op.create_index("ix_jobs_idempotency_key", "jobs", ["idempotency_key"], unique=True)
