"""Add the keys of the authority that certifies hosts which pass images on to each other."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.create_table(
        "swarm_authorities",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("certificate", LONG_TEXT, nullable=False),
        sa.Column("secret", LONG_TEXT, nullable=False),
        sa.Column("signs_from", INSTANT, nullable=False),
        **EXACT,
    )
