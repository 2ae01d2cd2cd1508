"""Accept a request: one job, its hosts, its images, and a task for every pair of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, insert, literal, select
from sqlalchemy.exc import IntegrityError

from precache.adapters.jobs_sql.counts import count_waiting
from precache.adapters.jobs_sql.rows import JOB_COLUMNS, TASK_COLUMNS, find_number, load_job
from precache.adapters.jobs_sql.states import note_new_job
from precache.adapters.sql import Database
from precache.adapters.sql.inserts import insert_with_key
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import job_aggregates, job_hosts, job_images, jobs, tasks
from precache.core.errors import ChangeUncertain, IdempotencyKeyReused, JobExists, StoreUnavailable
from precache.core.idempotency import IdempotencyKey
from precache.core.job_lists import aggregate_names
from precache.core.jobs import Job, NewJob, Task


class SqlJobIntake:
    """The port `JobIntake`. A committed job survives the end of the process and of the machine."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, job: NewJob) -> Job:
        """Store the job. Hosts or images that are named twice count once. Raises JobExists for a known id."""
        try:
            return self._add(job)
        except JobExists:
            if (found := self._find_same_key(job)) is None:
                raise
            return found
        except ChangeUncertain as uncertain:
            try:
                return self._add(job)
            except JobExists:
                return self._find_same_key(job) or self._stored(job.id)
            except StoreUnavailable:
                # With an error the client would repeat the request, and would get two jobs.
                raise uncertain from None

    @repeatable
    def _add(self, job: NewJob) -> Job:
        stored = job.accepted()
        with self._database.write() as connection:
            number = _insert_job(connection, stored, job.idempotency_key)
            note_new_job(connection, number, stored, at=self._database.now())
            hosts = dict.fromkeys(job.hosts)
            host_rows = [{"job": number, "position": place, "host": host} for place, host in enumerate(hosts)]
            image_rows = [
                {
                    "job": number,
                    "position": place,
                    "image": image,
                    "name": job.image_names.get(image),
                    "size_bytes": job.image_sizes.get(image),
                }
                for place, image in enumerate(stored.images)
            ]
            aggregate_rows = [{"job": number, "name": name} for name in aggregate_names(job)]
            if aggregate_rows:
                connection.execute(insert(job_aggregates), aggregate_rows)
            if host_rows:
                connection.execute(insert(job_hosts), host_rows)
            if image_rows:
                connection.execute(insert(job_images), image_rows)
            _insert_tasks(connection, number)
            count_waiting(connection, number, image_count=len(image_rows), host_count=len(host_rows))
            return load_job(connection, number)

    @repeatable
    def find_repeated(self, key: IdempotencyKey) -> Job | None:
        with self._database.read() as connection:
            statement = select(jobs.c.number, jobs.c.id, jobs.c.idempotency_body)
            row = connection.execute(statement.where(jobs.c.idempotency_key == key.digest)).one_or_none()
            if row is None:
                return None
            if row.idempotency_body != key.body_digest:
                raise IdempotencyKeyReused(row.id)
            return load_job(connection, row.number)

    def _find_same_key(self, job: NewJob) -> Job | None:
        """Return the stored job with the same idempotency key, of another request or of an earlier attempt."""
        return None if job.idempotency_key is None else self.find_repeated(job.idempotency_key)

    @repeatable
    def _stored(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return load_job(connection, find_number(connection, job_id))


def _insert_job(connection: Connection, job: Job, key: IdempotencyKey | None) -> int:
    values = {field: getattr(job, field) for field in JOB_COLUMNS} | {"priority": job.options.priority}
    if key is not None:
        values |= {"idempotency_key": key.digest, "idempotency_body": key.body_digest}
    statement = insert(jobs).values(values)
    try:
        return insert_with_key(connection, statement)
    except IntegrityError as exc:
        raise JobExists(job.id) from exc


def _insert_tasks(connection: Connection, number: int) -> None:
    # The database joins hosts and images, so no data per task is sent to it.
    columns: dict[Any, Any] = {
        tasks.c.job: job_hosts.c.job,
        tasks.c.host_position: job_hosts.c.position,
        tasks.c.image_position: job_images.c.position,
    }
    # A task begins with the defaults of its fields; None is NULL.
    for field in fields(Task):
        if field.name in TASK_COLUMNS and field.default is not None:
            columns[tasks.c[field.name]] = literal(field.default, tasks.c[field.name].type)
    pairs = select(*columns.values()).join_from(job_hosts, job_images, job_images.c.job == job_hosts.c.job)
    connection.execute(insert(tasks).from_select(list(columns), pairs.where(job_hosts.c.job == number)))
