"""Reads what followers of jobs need: the jobs with their running tasks, and single tasks by their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import select

from precache.adapters.jobs_sql.rows import TASKS, find_number, load_jobs
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import jobs, tasks
from precache.core.errors import JobNotFound
from precache.core.jobs import Outcome, Task, TaskPlace, TaskState
from precache.ports.job_store import JobSnapshot
from precache.rules.transfer_rate import RECENT, with_current_rate

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
            for batch in batches([job.id for job in found if not job.state.is_final]):
                statement = (
                    _PLACED.add_columns(jobs.c.id, self._database.now().label("now"))
                    .join(jobs, jobs.c.number == tasks.c.job)
                    # These conditions are the beginning of `ix_tasks_standing`.
                    .where(jobs.c.id.in_(batch), tasks.c.state == TaskState.RUNNING, tasks.c.outcome.is_(None))
                )
                for *fields, host, image, job_id, now in connection.execute(statement):
                    running[job_id][host, image] = with_current_rate(Task(job_id, *fields), now)
        return {job.id: JobSnapshot(job, running[job.id]) for job in found}

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
