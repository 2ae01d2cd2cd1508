"""The only place that changes the state of a job. It stores a notice of each change, in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, false, insert, literal, select, update

from precache.adapters.sql.tables import job_notices, jobs
from precache.core.job_notices import JobEvent
from precache.core.jobs import Job, JobState

_COLUMNS = ("job", "event", "at", "reason", "has_deliveries", "old_state", "old_reason")
_FINAL = [state for state in JobState if state.is_final]


def change_state(
    connection: Connection,
    which: ColumnElement[bool],
    state: JobState,
    *,
    at: ColumnElement[datetime],
    reason: str | None = None,
    **columns: Any,
) -> int:
    """Set the state of the jobs, and these other columns of theirs; return how many jobs that were.

    The caller holds the rows of the jobs. A job that has the state already gets no notice.
    at: the current time. reason: why it waits or how it ended; None leaves that of the job as it is.
    """
    values: dict[str, Any] = {**columns, "state": state} | ({} if reason is None else {"reason": reason})
    new_reason = jobs.c.reason if reason is None else literal(reason)
    changing = select(jobs.c.number, _event(state), at, new_reason, false(), jobs.c.state, jobs.c.reason)
    notices = insert(job_notices).from_select(_COLUMNS, changing.where(which, jobs.c.state != state))
    connection.execute(notices)
    return connection.execute(update(jobs).where(which).values(values)).rowcount


def note_new_job(connection: Connection, number: int, job: Job, *, at: ColumnElement[datetime]) -> None:
    """Store the notice of a new job."""
    event = JobEvent.of(None, job.state)
    values = {"job": number, "event": event, "at": at, "reason": job.reason, "has_deliveries": False, "old_reason": ""}
    connection.execute(insert(job_notices).values(values))


def _event(state: JobState) -> ColumnElement[JobEvent]:
    kind = job_notices.c.event.type
    event = literal(JobEvent.of(None, state), kind)
    if state is not JobState.QUEUED:
        return event
    return case((jobs.c.state.in_(_FINAL), literal(JobEvent.RETRIED, kind)), else_=event)
