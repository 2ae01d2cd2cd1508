"""Indexes for the lists of jobs by name, image, host, aggregate, priority and end.

The aggregates that a request named become a table of their own; until now they were only in the text of the target.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.create_index("ix_jobs_name", "jobs", ["name"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_at", "number"])
    op.create_index("ix_jobs_priority", "jobs", ["priority", "number"])
    op.create_index("ix_job_hosts_host", "job_hosts", ["host", "job"])
    op.create_index("ix_job_images_image", "job_images", ["image", "job"])
    job_aggregates = op.create_table(
        "job_aggregates",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        **EXACT,
    )
    op.create_index("ix_job_aggregates_name", "job_aggregates", ["name", "job"])
    jobs = sa.table("jobs", *map(sa.column, ("number", "aggregate_id", "aggregate_name", "target")))
    rows = [
        {"job": job.number, "name": name}
        for job in op.get_bind().execute(sa.select(jobs)).all()
        for name in _names(job.aggregate_id, job.aggregate_name, job.target)
    ]
    op.bulk_insert(job_aggregates, rows)


def _names(aggregate_id: int, aggregate_name: str, target: str | None) -> list[str]:
    own = [aggregate_name] if aggregate_id else []
    named = json.loads(target).get("aggregates", []) if target else []
    return list(dict.fromkeys([*own, *named]))
