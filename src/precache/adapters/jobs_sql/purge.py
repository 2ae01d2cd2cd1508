"""Removes jobs that ended long ago, in small transactions, so that no other transaction waits long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select

from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import (
    job_aggregates,
    job_calls,
    job_counts,
    job_hosts,
    job_images,
    job_notices,
    jobs,
    tasks,
)
from precache.core.jobs import JobState

_PARTS = (tasks, job_hosts, job_images, job_aggregates, job_counts, job_calls, job_notices)
"""The tables that refer to a job, in the order in which their rows can be deleted."""

MOST_TASKS = 100_000
"""The most tasks in one transaction, except for a single larger job: more rows may exceed the time limit."""


class SqlJobPurge:
    """The port `JobPurge`."""

    def __init__(self, *, database: Database, most_tasks: int = MOST_TASKS) -> None:
        self._database, self._most_tasks = database, most_tasks

    @repeatable
    def count_ended(self, before: timedelta) -> int:
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(jobs).where(self._has_ended(before))) or 0

    @idempotent
    def purge(self, before: timedelta, limit: int) -> int:
        ended = select(jobs.c.number, jobs.c.task_count).where(self._has_ended(before))
        oldest = ended.order_by(jobs.c.number).limit(limit).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            numbers = self._first(connection.execute(oldest).all())
            if numbers:
                for part in _PARTS:
                    connection.execute(delete(part).where(part.c.job.in_(numbers)))
                connection.execute(delete(jobs).where(jobs.c.number.in_(numbers)))
            return len(numbers)

    def _first(self, found: Iterable[tuple[int, int]]) -> list[int]:
        """Return the numbers of the first jobs whose tasks together fit into one transaction."""
        numbers: list[int] = []
        tasks_so_far = 0
        for number, task_count in found:
            tasks_so_far += task_count
            if numbers and tasks_so_far > self._most_tasks:
                break
            numbers.append(number)
        return numbers

    def _has_ended(self, before: timedelta) -> ColumnElement[bool]:
        final = [state for state in JobState if state.is_final]
        return and_(jobs.c.state.in_(final), jobs.c.finished_at <= self._database.now(-before))
