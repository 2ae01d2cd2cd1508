"""Look at jobs and tasks. Each answer is one snapshot of the database."""

from __future__ import annotations

from sqlalchemy import and_, or_, select

from precache.adapters.jobs_sql.rows import find_number, load_job, load_jobs, load_tasks
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import jobs
from precache.core.errors import JobNotFound
from precache.core.jobs import Job, JobState, Task


class SqlJobQueries:
    """The port `JobQueries`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def list_jobs(self, *, state: JobState | None = None, limit: int = 1000, marker: str | None = None) -> list[Job]:
        statement = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.number.desc()).limit(limit)
        if state is not None:
            statement = statement.where(jobs.c.state == state)
        with self._database.read() as connection:
            if marker is not None:
                last = connection.execute(select(jobs.c.created_at, jobs.c.number).where(jobs.c.id == marker)).first()
                if last is None:
                    raise JobNotFound(marker)
                # Jobs of the same instant are told apart by their numbers, which grow as they come in.
                same_instant = and_(jobs.c.created_at == last.created_at, jobs.c.number < last.number)
                statement = statement.where(or_(jobs.c.created_at < last.created_at, same_instant))
            return load_jobs(connection, statement)

    @repeatable
    def get(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return load_job(connection, find_number(connection, job_id))

    @repeatable
    def tasks(self, job_id: str) -> list[Task]:
        with self._database.read() as connection:
            return load_tasks(connection, job_id, find_number(connection, job_id))
