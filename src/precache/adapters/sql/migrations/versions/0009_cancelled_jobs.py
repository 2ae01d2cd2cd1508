"""Add the time of the request to cancel a job.

The release before works with it, but does not see it: its conductors finish such a job as if nothing had been asked.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("jobs", sa.Column("cancel_requested_at", instant))
