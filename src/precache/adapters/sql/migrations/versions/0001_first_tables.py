"""The first tables: cells, hosts, aggregates, jobs and tasks.

The types are written out, not imported from the code, because this file must never change its effect.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.String(255)
UUID = sa.String(36)
WORD = sa.String(32)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    _create_inventory()
    _create_jobs()
    _create_tasks()


def _create_inventory() -> None:
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        **EXACT,
    )
    op.create_table(
        "hosts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("cell_id", sa.Integer, sa.ForeignKey("cells.id")),
        sa.Column("driver", NAME, nullable=False),
        sa.Column("forced_down", sa.Boolean, nullable=False),
        sa.Column("last_seen", INSTANT),
        **EXACT,
    )
    op.create_table(
        "aggregates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", UUID, nullable=False, unique=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_table(
        "aggregate_hosts",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("aggregate_id", sa.Integer, sa.ForeignKey("aggregates.id"), nullable=False),
        sa.Column("host_id", sa.Integer, sa.ForeignKey("hosts.id"), nullable=False),
        sa.UniqueConstraint("aggregate_id", "host_id"),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_table(
        "aggregate_metadata",
        sa.Column("aggregate_id", sa.Integer, sa.ForeignKey("aggregates.id"), primary_key=True),
        sa.Column("key", NAME, primary_key=True),
        sa.Column("value", NAME, nullable=False),
        **EXACT,
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", UUID, nullable=False, unique=True),
        sa.Column("aggregate_id", sa.Integer, nullable=False),
        sa.Column("aggregate_uuid", UUID, nullable=False),
        sa.Column("aggregate_name", NAME, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("task_count", sa.Integer, nullable=False),
        sa.Column("requested_by", NAME, nullable=False),
        sa.Column("request_id", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.Column("lease_owner", NAME),
        sa.Column("lease_until", INSTANT),
        sqlite_autoincrement=True,
        **EXACT,
    )
    op.create_index("ix_jobs_newest", "jobs", ["created_at", "number"])
    op.create_index("ix_jobs_state", "jobs", ["state", "created_at", "number"])


def _create_tasks() -> None:
    op.create_table(
        "job_hosts",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("host", NAME, nullable=False),
        sa.Column("cell", NAME),
        sa.UniqueConstraint("job", "host"),
        **EXACT,
    )
    op.create_table(
        "job_images",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("image", UUID, nullable=False),
        sa.UniqueConstraint("job", "image"),
        **EXACT,
    )
    op.create_table(
        "tasks",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("host_position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("image_position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("outcome", WORD),
        sa.Column("phase", WORD, nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("bytes_total", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sqlite_with_rowid=False,
        **EXACT,
    )
    op.create_table(
        "job_outcomes",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("outcome", WORD, primary_key=True),
        sa.Column("tasks", sa.Integer, nullable=False),
        **EXACT,
    )
