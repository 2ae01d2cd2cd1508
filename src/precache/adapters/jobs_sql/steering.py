"""Steers a job: locks the row of the job first, as its conductor does, then changes its tasks.

What becomes of the job is decided in `rules/steering.py`; here the difference is written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, literal, or_, select, update

from precache.adapters.jobs_sql.claims import end_job
from precache.adapters.jobs_sql.counts import count_again
from precache.adapters.jobs_sql.rows import JOB_COLUMNS, find_number, held_job, load_job
from precache.adapters.jobs_sql.states import change_state
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import jobs, tasks
from precache.adapters.sql.types import Instant
from precache.core.errors import ChangeUncertain, JobNotEnded, JobNotFound, NothingToRetry
from precache.core.job_changes import JobChange
from precache.core.jobs import Job, Outcome, Phase, TaskState
from precache.rules import steering
from precache.rules.transfer_rate import RECENT

_TO_RETRY = {
    "state": TaskState.WAITING,
    "outcome": None,
    "phase": Phase.WAITING,
    "bytes_done": 0,
    "bytes_total": 0,
    "failures": 0,
    "reported_at": None,
    "rate_bytes_per_s": None,
    "parent": None,
    "bytes_image_service": None,
    "bytes_hosts": None,
    "bytes_cache": None,
    "earlier_image_service": None,
    "earlier_hosts": None,
    "earlier_cache": None,
    "decoded_by": "",
    "reason": "",
    "started_at": None,
    "finished_at": None,
}
_SUCCESSES = [outcome for outcome in Outcome if outcome.is_success]


class SqlJobSteering:
    """The port `JobSteering`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def cancel(self, job_id: str) -> Job:
        with self._database.write() as connection:
            number, job, now = self._lock(connection, job_id)
            cancelled = steering.cancelled(job, now)
            if not cancelled.state.is_final or job.state.is_final:
                _save(connection, number, job, cancelled, now)
                return self._seen(connection, number)
            _save(connection, number, job, replace(cancelled, state=job.state), now)  # `end_job` sets the state
            _end_tasks(connection, number, cancelled.cancel_requested_at)
            end_job(connection, number, cancelled.state, literal(now, Instant()))
            return self._seen(connection, number)

    @idempotent
    def pause(self, job_id: str) -> Job:
        return self._steer(job_id, steering.paused)

    @idempotent
    def resume(self, job_id: str) -> Job:
        return self._steer(job_id, steering.resumed)

    def retry(self, job_id: str) -> Job:
        try:
            return self._retry(job_id)
        except ChangeUncertain:
            # If the lost transaction was made, the job has not ended any more.
            with suppress(JobNotEnded):
                return self._retry(job_id)
            return self._get(job_id)

    @repeatable
    def _retry(self, job_id: str) -> Job:
        with self._database.write() as connection:
            number, job, now = self._lock(connection, job_id)
            retried = steering.retried(job, now)
            is_no_success = or_(tasks.c.outcome.is_(None), tasks.c.outcome.not_in(_SUCCESSES))
            unsuccessful = update(tasks).where(tasks.c.job == number, is_no_success)
            if connection.execute(unsuccessful.values(_TO_RETRY)).rowcount == 0:
                raise NothingToRetry(job_id)
            count_again(connection, number)
            _save(connection, number, job, retried, now)
            return self._seen(connection, number)

    @idempotent
    def change(self, job_id: str, change: JobChange) -> Job:
        return self._steer(job_id, lambda job, now: steering.changed(job, change, now))

    def _steer(self, job_id: str, step: Callable[[Job, datetime], Job]) -> Job:
        with self._database.write() as connection:
            number, job, now = self._lock(connection, job_id)
            _save(connection, number, job, step(job, now), now)
            return self._seen(connection, number)

    def _lock(self, connection: Connection, job_id: str) -> tuple[int, Job, datetime]:
        """Lock the row of the job; return its key, the job, and the time of the database. Raises JobNotFound."""
        this = select(jobs, self._database.now().label("now")).where(jobs.c.id == job_id)
        row = connection.execute(this.with_for_update()).first()
        if row is None:
            raise JobNotFound(job_id)
        return row.number, held_job(connection, row), row.now

    @repeatable
    def _get(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return self._seen(connection, find_number(connection, job_id))

    def _seen(self, connection: Connection, number: int) -> Job:
        """Return the job as `JobQueries.get` does."""
        return load_job(connection, number, recent=self._database.now(-RECENT))


def _save(connection: Connection, number: int, old: Job, new: Job, now: datetime) -> None:
    """Write the fields that differ."""
    changed = {field: value for field in JOB_COLUMNS if (value := getattr(new, field)) != getattr(old, field)}
    if new.options.priority != old.options.priority:
        changed["priority"] = new.options.priority
    if "state" in changed:
        at = literal(now, Instant())
        change_state(connection, jobs.c.number == number, at=at, **{**changed, "reason": new.reason})
    elif changed:
        connection.execute(update(jobs).where(jobs.c.number == number).values(changed))


def _end_tasks(connection: Connection, number: int, now: datetime | None) -> None:
    """End all tasks as cancelled, at one time, because the server's clock advances from row to row."""
    cancelled = {"state": TaskState.ENDED, "outcome": Outcome.CANCELLED, "finished_at": now}
    unfinished = (tasks.c.job == number) & (tasks.c.state != TaskState.ENDED)
    connection.execute(update(tasks).where(unfinished).values(cancelled))
