"""An index to find and count tasks by their state and outcome.

The previous release works with it and without it.
"""

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tasks_standing", "tasks", ["job", "state", "outcome", "host_position", "image_position"])
