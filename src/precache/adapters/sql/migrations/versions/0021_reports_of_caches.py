"""Add what the caches of hosts hold: hosts, their entries, and the images with their kept numbers.

The release before stores none of it. A host that it deletes leaves its rows behind, which the next report of any host
removes. So there are no foreign keys.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
NUMBERS = ("present", "missing", "bytes", "pinned", "unused", "intact", "corrupt", "unverifiable")


def upgrade() -> None:
    op.create_table(
        "host_caches",
        sa.Column("host_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("boot_id", sa.String(255), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("base", sa.BigInteger, nullable=False),
        sa.Column("earlier_boot_id", sa.String(255), nullable=False),
        sa.Column("earlier_sequence", sa.BigInteger, nullable=False),
        sa.Column("content", sa.BigInteger, nullable=False),
        sa.Column("reported_at", INSTANT, nullable=False),
        sa.Column("document", LONG_TEXT, nullable=False),
        *_numbers(),
        **EXACT,
    )
    op.create_table(
        "cache_entries",
        sa.Column("host_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.String(40), primary_key=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("verification", sa.String(32), nullable=False),
        sa.Column("is_pinned", sa.Boolean, nullable=False),
        sa.Column("disks", sa.Integer),
        sa.Column("allocated_bytes", sa.BigInteger, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("document", LONG_TEXT, nullable=False),
        sqlite_with_rowid=False,
        **EXACT,
    )
    op.create_index("ix_cache_entries_entry", "cache_entries", ["entry", "host_id"])
    op.create_table(
        "cached_images",
        sa.Column("entry", sa.String(40), primary_key=True),
        sa.Column("image", sa.String(36)),
        sa.Column("name", sa.String(255)),
        sa.Column("status", sa.String(32)),
        sa.Column("status_at", INSTANT),
        *_numbers(),
        **EXACT,
    )
    op.create_index("ix_cached_images_name", "cached_images", ["name", "entry"])


def _numbers() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in NUMBERS]
