"""Remove jobs that ended long ago, some in each transaction, so that nothing else waits long for a row or a disk."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select

from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import job_hosts, job_images, job_outcomes, jobs, tasks
from precache.core.jobs import JobState

_PARTS = (tasks, job_hosts, job_images, job_outcomes)
"""What refers to a job, in the order in which it can be deleted."""


class SqlJobPurge:
    """The port `JobPurge`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def count_ended(self, before: timedelta) -> int:
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(jobs).where(self._has_ended(before))) or 0

    @idempotent
    def purge(self, before: timedelta, limit: int) -> int:
        oldest = select(jobs.c.number).where(self._has_ended(before)).order_by(jobs.c.number).limit(limit)
        with self._database.write() as connection:
            numbers = connection.scalars(oldest.with_for_update(skip_locked=True)).all()
            if numbers:
                for part in _PARTS:
                    connection.execute(delete(part).where(part.c.job.in_(numbers)))
                connection.execute(delete(jobs).where(jobs.c.number.in_(numbers)))
            return len(numbers)

    def _has_ended(self, before: timedelta) -> ColumnElement[bool]:
        final = [state for state in JobState if state.is_final]
        return and_(jobs.c.state.in_(final), jobs.c.finished_at <= self._database.now(-before))
