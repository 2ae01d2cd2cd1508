"""Reads what followers of jobs need: the jobs with their running tasks, and single tasks by their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Select, and_, select, union_all

from precache.adapters.jobs_sql.rows import TASKS, find_number, load_jobs
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import jobs, tasks
from precache.core.errors import JobNotFound
from precache.core.jobs import Outcome, Task, TaskPlace, TaskState
from precache.ports.job_store import JobSnapshot
from precache.rules.transfer_rate import RECENT, with_current_rate

_NO_LIMIT = 2**31 - 1
_JOBS_PER_STATEMENT = 50

# In front of the columns of a task.
_PLACED = TASKS.add_columns(tasks.c.host_position, tasks.c.image_position).order_by(None)


class SqlJobSnapshots:
    """The port `JobSnapshots`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def snapshots(self, job_ids: Collection[str]) -> Mapping[str, JobSnapshot]:
        running: dict[str, dict[TaskPlace, Task]] = defaultdict(dict)
        with self._database.read() as connection:
            found = [
                job
                for batch in batches(sorted(job_ids))
                for job in load_jobs(
                    connection, select(jobs).where(jobs.c.id.in_(batch)), recent=self._database.now(-RECENT)
                )
            ]
            for batch in batches([job.id for job in found if not job.state.is_final], _JOBS_PER_STATEMENT):
                keys = select(jobs.c.number, jobs.c.id).where(jobs.c.id.in_(batch))
                ids = {row.number: row.id for row in connection.execute(keys)}
                if not ids:
                    continue
                for *fields, host, image, number, now in connection.execute(union_all(*map(self._running, ids))):
                    job_id = ids[number]
                    running[job_id][host, image] = with_current_rate(Task(job_id, *fields), now)
        return {job.id: JobSnapshot(job, running[job.id]) for job in found}

    def _running(self, number: int) -> Select[Any]:
        """Select the running tasks of a job, found by `ix_tasks_standing` alone.

        The limit, which is never reached, keeps MariaDB from joining first: it would read all tasks of the job.
        """
        keys = (
            select(tasks.c.host_position, tasks.c.image_position)
            .where(tasks.c.job == number, tasks.c.state == TaskState.RUNNING, tasks.c.outcome.is_(None))
            .limit(_NO_LIMIT)
            .subquery()
        )
        is_found = and_(tasks.c.host_position == keys.c.host_position, tasks.c.image_position == keys.c.image_position)
        columns = (tasks.c.job, self._database.now().label("now"))
        return _PLACED.add_columns(*columns).join(keys, is_found).where(tasks.c.job == number)

    @repeatable
    def ended_places(self, job_id: str, outcomes: Collection[Outcome]) -> Mapping[Outcome, Collection[TaskPlace]]:
        places: dict[Outcome, list[TaskPlace]] = {outcome: [] for outcome in outcomes}
        with self._database.read() as connection:
            try:
                number = find_number(connection, job_id)
            except JobNotFound:
                return places
            statement = select(tasks.c.outcome, tasks.c.host_position, tasks.c.image_position).where(
                tasks.c.job == number, tasks.c.state == TaskState.ENDED, tasks.c.outcome.in_(outcomes)
            )
            for outcome, host, image in connection.execute(statement):
                places[outcome].append((host, image))
        return places

    @repeatable
    def tasks_at(self, job_id: str, places: Collection[TaskPlace]) -> Mapping[TaskPlace, Task]:
        wanted, found = set(places), dict[TaskPlace, Task]()
        with self._database.read() as connection:
            try:
                number = find_number(connection, job_id)
            except JobNotFound:
                return found
            # All tasks of these hosts: usually they change together.
            for batch in batches(sorted({host for host, _ in wanted})):
                statement = _PLACED.add_columns(self._database.now().label("now")).where(
                    tasks.c.job == number, tasks.c.host_position.in_(batch)
                )
                for *fields, host, image, now in connection.execute(statement):
                    if (host, image) in wanted:
                        found[host, image] = with_current_rate(Task(job_id, *fields), now)
        return found
