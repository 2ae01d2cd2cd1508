"""Add the permits to call hosts, and rows to lock.

The release before works with it, but calls hosts without permits: limits over all conductors hold from when all of them
have this release.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.create_table(
        "job_calls",
        sa.Column("job", NUMBER, autoincrement=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("held", LONG_TEXT, nullable=False),
        sa.Column("wish", LONG_TEXT),
        sa.Column("last_grant", sa.BigInteger, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_job_calls"),
        **EXACT,
    )
    op.create_table(
        "locks",
        sa.Column("name", sa.String(255)),
        sa.PrimaryKeyConstraint("name", name="pk_locks"),
        **EXACT,
    )
