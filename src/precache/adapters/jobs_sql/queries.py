"""Reads jobs and tasks. Each result is one snapshot of the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from precache.adapters.jobs_sql.job_hosts import load_hosts
from precache.adapters.jobs_sql.job_lists import comes_after, conditions, in_order
from precache.adapters.jobs_sql.rows import find_number, load_job, load_jobs, load_page
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import job_hosts, job_images, jobs, tasks
from precache.core.errors import JobNotFound, TaskNotFound
from precache.core.images import ImageId
from precache.core.job_hosts import EVERY_HOST, HostProgress, JobHostFilter
from precache.core.job_lists import EVERY_JOB, NEWEST_FIRST, JobFilter, JobSort
from precache.core.jobs import EVERY_TASK, Job, Task, TaskFilter, TaskState
from precache.ports.job_store import TaskKey
from precache.rules.transfer_rate import RECENT, with_current_rate


class SqlJobQueries:
    """The port `JobQueries`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def list_jobs(
        self,
        *,
        only: JobFilter = EVERY_JOB,
        sort: JobSort = NEWEST_FIRST,
        limit: int = 1000,
        marker: str | None = None,
    ) -> list[Job]:
        statement = select(jobs).where(*conditions(only)).order_by(*in_order(sort)).limit(limit)
        with self._database.read() as connection:
            if marker is not None:
                statement = statement.where(comes_after(connection, marker, sort))
            return load_jobs(connection, statement, recent=self._database.now(-RECENT))

    @repeatable
    def get(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return load_job(connection, find_number(connection, job_id), recent=self._database.now(-RECENT))

    @repeatable
    def list_tasks(
        self, job_id: str, *, only: TaskFilter = EVERY_TASK, limit: int = 1000, marker: TaskKey | None = None
    ) -> list[Task]:
        with self._database.read() as connection:
            number, now = self._number_and_time(connection, job_id)
            wanted = _of_tasks(number, only)
            if marker is not None:
                wanted.append(_comes_after(connection, job_id, number, marker))
            return [with_current_rate(task, now) for task in load_page(connection, job_id, number, wanted, limit)]

    @repeatable
    def list_hosts(
        self, job_id: str, *, only: JobHostFilter = EVERY_HOST, limit: int = 1000, marker: str | None = None
    ) -> list[HostProgress]:
        with self._database.read() as connection:
            number = find_number(connection, job_id)
            return load_hosts(connection, number, only, limit, marker, self._database.now(-RECENT))

    def _number_and_time(self, connection: Connection, job_id: str) -> tuple[int, datetime]:
        """Return the job's key, and the time by the store's clock. Raises JobNotFound."""
        wanted = select(jobs.c.number, self._database.now().label("now")).where(jobs.c.id == job_id)
        row = connection.execute(wanted).first()
        if row is None:
            raise JobNotFound(job_id)
        return row.number, row.now


def _of_tasks(number: int, only: TaskFilter) -> list[ColumnElement[bool]]:
    """Return the filter as conditions on columns of `tasks` only, so that the database can use `ix_tasks_standing`."""
    found: list[ColumnElement[bool]] = []
    if only.host is not None:
        found.append(tasks.c.host_position == _host_position(number, only.host).scalar_subquery())
    if only.image is not None:
        found.append(tasks.c.image_position == _image_position(number, only.image).scalar_subquery())
    if only.cell is not None:
        of_cell = select(job_hosts.c.position).where(job_hosts.c.job == number, job_hosts.c.cell == only.cell)
        found.append(tasks.c.host_position.in_(of_cell))
    if only.outcomes:
        found += [tasks.c.outcome.in_(sorted(only.outcomes)), tasks.c.state == TaskState.ENDED]
    if only.has_reason is not None:
        found.append(tasks.c.reason != "" if only.has_reason else tasks.c.reason == "")
    if only.state is not None:
        found.append(tasks.c.state == only.state)
        if only.state is not TaskState.ENDED:  # only then do the index's entries have the order of the list
            found.append(tasks.c.outcome.is_(None))
    return found


def _comes_after(connection: Connection, job_id: str, number: int, marker: TaskKey) -> ColumnElement[bool]:
    host = connection.scalar(_host_position(number, marker[0]))
    image = connection.scalar(_image_position(number, marker[1]))
    if host is None or image is None:
        raise TaskNotFound(job_id, *marker)
    is_later_image = and_(tasks.c.host_position == host, tasks.c.image_position > image)
    # The first condition follows from the second; with it the database begins at the host's row.
    return and_(tasks.c.host_position >= host, or_(tasks.c.host_position > host, is_later_image))


def _host_position(number: int, host: str) -> Select[tuple[int]]:
    return select(job_hosts.c.position).where(job_hosts.c.job == number, job_hosts.c.host == host)


def _image_position(number: int, image: ImageId) -> Select[tuple[int]]:
    return select(job_images.c.position).where(job_images.c.job == number, job_images.c.image == image)
