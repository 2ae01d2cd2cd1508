"""Tasks are found and counted by their state and outcome.

An index alone: the release before works with it and without it.
"""

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tasks_standing", "tasks", ["job", "state", "outcome", "host_position", "image_position"])
