"""The only place that changes the state of a job. Its caller holds the row of the job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from precache.adapters.sql.tables import jobs
from precache.core.jobs import JobState


def change_state(connection: Connection, which: ColumnElement[bool], state: JobState, **columns: Any) -> int:
    """Set the state of the jobs, and these other columns of theirs; return how many jobs that were."""
    return connection.execute(update(jobs).where(which).values(state=state, **columns)).rowcount
