"""Add the relays of images, and the hosts that take part in them. The release before knows neither."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0025"
down_revision = "0024"
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
        "relays",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("cell", sa.String(255), nullable=False),
        sa.Column("site", sa.String(255), nullable=False),
        sa.Column("image", sa.String(36), nullable=False),
        sa.Column("form", sa.String(32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("root", sa.String(255), nullable=False),
        sa.Column("is_failed", sa.Boolean, nullable=False),
        sa.Column("document", LONG_TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("id", name="uq_relays_id"),
        sa.UniqueConstraint("cell", "site", "image", "form", name="uq_relays_cell_site_image_form"),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_index("ix_relays_image", "relays", ["image"])
    op.create_table(
        "relay_members",
        sa.Column("relay", NUMBER, sa.ForeignKey("relays.number", name="fk_relay_members_relay"), primary_key=True),
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("have_bytes", sa.BigInteger, nullable=False),
        sa.Column("offered_bytes", sa.BigInteger, nullable=False),
        sa.Column("rate_bytes_per_s", sa.BigInteger, nullable=False),
        sa.Column("seen_at", INSTANT),
        sa.Column("document", LONG_TEXT, nullable=False),
        **EXACT,
    )
    op.create_index("ix_relay_members_silent", "relay_members", ["state", "seen_at"])
    op.create_table(
        "host_rates",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("uplink_bytes_per_s", sa.BigInteger, nullable=False),
        sa.Column("link_bytes_per_s", sa.BigInteger, nullable=False),
        sa.Column("measured_at", INSTANT, nullable=False),
        **EXACT,
    )
