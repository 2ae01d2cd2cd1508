"""Add the names of a job's images, a job's single host instead of an aggregate, and the release of a host.

All three may be empty, because processes of the previous release may still write to these tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = sa.String(255)


def upgrade() -> None:
    op.add_column("job_images", sa.Column("name", NAME))
    op.add_column("jobs", sa.Column("for_host", NAME))
    op.add_column("hosts", sa.Column("release", NAME, nullable=False, server_default=sa.text("''")))
