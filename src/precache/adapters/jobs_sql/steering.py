"""Cancels a job: locks the row of the job first, as its conductor does, then changes its tasks."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from precache.adapters.jobs_sql.claims import end_job
from precache.adapters.jobs_sql.rows import load_job
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import jobs, tasks
from precache.core.errors import JobEnded, JobNotFound
from precache.core.jobs import Job, JobState, Outcome, TaskState, check_job_transition


class SqlJobSteering:
    """The port `JobSteering`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def cancel(self, job_id: str) -> Job:
        this = select(jobs.c.number, jobs.c.state, jobs.c.started_at).where(jobs.c.id == job_id)
        with self._database.write() as connection:
            job = connection.execute(this.with_for_update()).first()
            if job is None:
                raise JobNotFound(job_id)
            if not job.state.is_final:
                self._request(connection, job.number)
                if job.started_at is None:
                    self._end(connection, job.number, job.state)
            elif job.state is not JobState.CANCELLED:
                raise JobEnded(job_id, job.state)
            return load_job(connection, job.number)

    def _request(self, connection: Connection, number: int) -> None:
        requested_at = func.coalesce(jobs.c.cancel_requested_at, self._database.now())
        connection.execute(update(jobs).where(jobs.c.number == number).values(cancel_requested_at=requested_at))

    def _end(self, connection: Connection, number: int, state: JobState) -> None:
        check_job_transition(state, JobState.CANCELLED)
        # One time for all of them, because the server's clock advances from row to row.
        requested_at = select(jobs.c.cancel_requested_at).where(jobs.c.number == number).scalar_subquery()
        cancelled = {"state": TaskState.ENDED, "outcome": Outcome.CANCELLED, "finished_at": requested_at}
        unfinished = (tasks.c.job == number) & (tasks.c.state != TaskState.ENDED)
        connection.execute(update(tasks).where(unfinished).values(cancelled))
        end_job(connection, number, JobState.CANCELLED, self._database.now())
