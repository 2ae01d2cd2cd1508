"""Have the database refuse claims of conductors that do not know the operation of a job.

The release before does not read the operation: its conductors would cache the images of a job that purges them. They
claim a job by a new `lease_token` alone. The constraint wants the same number in the new column, unless the job caches.
So such a claim fails, and the log of that conductor has the name of the constraint.

SQLite cannot add a constraint to a table, and there one process alone uses the file.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("operation_token", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE jobs SET operation_token = lease_token WHERE operation <> 'cache'")
    if op.get_context().dialect.name != "sqlite":
        condition = "operation = 'cache' OR state <> 'running' OR operation_token = lease_token"
        op.create_check_constraint("conductor_too_old_for_operation", "jobs", condition)
