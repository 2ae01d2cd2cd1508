"""Add the options of jobs, what steers a job, failed attempts of tasks, and the sites of hosts.

The defaults are for the previous release, which inserts rows without these columns. Its conductors must be stopped
before a job is paused or waits: they do not know these states.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("options", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("50")))
    op.add_column("jobs", sa.Column("due_at", INSTANT))
    op.add_column("jobs", sa.Column("pause_requested_at", INSTANT))
    op.add_column("jobs", sa.Column("retry_count", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("jobs", sa.Column("revision", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("jobs", sa.Column("reason", sa.String(255), nullable=False, server_default=sa.text("''")))
    op.add_column("tasks", sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("hosts", sa.Column("site", sa.String(255)))
