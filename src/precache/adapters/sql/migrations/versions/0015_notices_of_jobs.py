"""Add the notices of jobs, their deliveries to URLs, and which conductor sends them.

The previous release stores no notices and removes none. Jobs that it removes leave theirs behind, which are then
dropped: so there are no foreign keys.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "job_notices",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("job", NUMBER, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("has_deliveries", sa.Boolean, nullable=False),
        sa.Column("old_state", sa.String(32)),
        sa.Column("old_reason", sa.String(255), nullable=False),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_table(
        "deliveries",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("job", NUMBER, nullable=False),
        sa.Column("notice_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("body", LONG_TEXT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_index("ix_deliveries_job", "deliveries", ["job", "number"])
    op.create_table(
        "duties",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        **EXACT,
    )
