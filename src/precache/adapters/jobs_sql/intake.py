"""Accept a request: one job, its hosts, its images, and a task for every pair of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, literal, select
from sqlalchemy.exc import IntegrityError

from precache.adapters.jobs_sql.rows import find_number, load_job
from precache.adapters.sql import Database
from precache.adapters.sql.keys import insert_with_key
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import job_hosts, job_images, jobs, tasks
from precache.core.errors import ChangeUncertain, JobExists, StoreUnavailable
from precache.core.jobs import Job, JobState, NewJob, Phase, TaskState
from precache.core.orders import CacheOrder, first_orders


class SqlJobIntake:
    """The port `JobIntake`. A committed job survives the end of the process and of the machine."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, job: NewJob) -> Job:
        """Store the job. Hosts or images that are named twice count once. Raises JobExists for a known id."""
        try:
            return self._add(job)
        except ChangeUncertain as uncertain:
            try:
                return self._add(job)
            except JobExists:
                return self._stored(job.id)
            except StoreUnavailable:
                # A client that is told less would ask again, and have two jobs.
                raise uncertain from None

    @repeatable
    def _add(self, job: NewJob) -> Job:
        hosts, orders = tuple(dict.fromkeys(job.hosts)), first_orders(job.orders)
        with self._database.write() as connection:
            number = _insert_job(connection, job, orders, task_count=len(hosts) * len(orders))
            host_rows = [{"job": number, "position": place, "host": host} for place, host in enumerate(hosts)]
            image_rows = [
                {"job": number, "position": place, "image": order.image, "name": job.image_names.get(order.image)}
                for place, order in enumerate(orders)
            ]
            if host_rows:
                connection.execute(insert(job_hosts), host_rows)
            if image_rows:
                connection.execute(insert(job_images), image_rows)
            _insert_tasks(connection, number)
            return load_job(connection, number)

    @repeatable
    def _stored(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return load_job(connection, find_number(connection, job_id))


def _insert_job(connection: Connection, job: NewJob, orders: tuple[CacheOrder, ...], task_count: int) -> int:
    statement = insert(jobs).values(
        id=job.id,
        aggregate_id=job.aggregate_id,
        aggregate_uuid=job.aggregate_uuid,
        aggregate_name=job.aggregate_name,
        state=JobState.QUEUED,
        task_count=task_count,
        requested_by=job.requested_by,
        request_id=job.request_id,
        created_at=job.created_at,
        for_host=job.for_host,
        orders=orders,
        aggregate_metadata=job.aggregate_metadata,
    )
    try:
        return insert_with_key(connection, statement)
    except IntegrityError as exc:
        raise JobExists(job.id) from exc


def _insert_tasks(connection: Connection, number: int) -> None:
    # The database multiplies hosts by images: not a byte per task travels to it.
    columns: dict[Any, Any] = {
        tasks.c.job: job_hosts.c.job,
        tasks.c.host_position: job_hosts.c.position,
        tasks.c.image_position: job_images.c.position,
        tasks.c.state: literal(TaskState.WAITING, tasks.c.state.type),
        tasks.c.phase: literal(Phase.WAITING, tasks.c.phase.type),
        tasks.c.bytes_done: literal(0),
        tasks.c.bytes_total: literal(0),
        tasks.c.attempts: literal(0),
        tasks.c.reason: literal(""),
    }
    pairs = select(*columns.values()).join_from(job_hosts, job_images, job_images.c.job == job_hosts.c.job)
    connection.execute(insert(tasks).from_select(list(columns), pairs.where(job_hosts.c.job == number)))
