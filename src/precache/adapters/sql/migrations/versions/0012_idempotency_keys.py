"""Add the idempotency key of the request, and the digest of its body, to jobs.

Both are empty in jobs without a key, such as those of the previous release, which works with these columns.
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
