"""Reads jobs and tasks from rows, in a number of statements that does not grow with the hosts of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, null, select

from precache.adapters.jobs_sql.counts import source_columns
from precache.adapters.sql.batches import batches
from precache.adapters.sql.tables import job_counts, job_hosts, job_images, jobs, tasks
from precache.core.bytes_from import BytesFrom
from precache.core.errors import JobNotFound
from precache.core.images import ImageId
from precache.core.job_options import DEFAULT_JOB_OPTIONS
from precache.core.job_progress import TaskSum
from precache.core.jobs import Job, Outcome, Phase, Task, TaskState
from precache.core.orders import ImageOrder
from precache.core.targets import Target
from precache.ports.job_store import RemainingTasks
from precache.rules.job_progress import add_up, progress_by_image

JOB_COLUMNS = tuple(field.name for field in fields(Job) if field.name in jobs.c)
"""The fields of a job that the table has as columns of the same names."""

TASK_COLUMNS = tuple(field.name for field in fields(Task) if field.name in tasks.c)
"""The same for a task: the fields that change during its life."""

_SOURCES = {
    **{field: tasks.c[field] for field in TASK_COLUMNS},
    "host": job_hosts.c.host,
    "cell": job_hosts.c.cell,
    "image": job_images.c.image,
    "image_name": job_images.c.name,
}

# In the order of Task's fields after `job_id`: a job may have 100,000 tasks, and unpacking a whole row takes half the
# time of reading its columns by name.
TASKS = (
    select(*(_SOURCES[field.name] for field in fields(Task) if field.name != "job_id"))
    .join_from(tasks, job_hosts, (job_hosts.c.job == tasks.c.job) & (job_hosts.c.position == tasks.c.host_position))
    .join(job_images, (job_images.c.job == tasks.c.job) & (job_images.c.position == tasks.c.image_position))
    .order_by(tasks.c.host_position, tasks.c.image_position)
)


def find_number(connection: Connection, job_id: str) -> int:
    """Return the job's key. Raises JobNotFound."""
    number: int | None = connection.scalar(select(jobs.c.number).where(jobs.c.id == job_id))
    if number is None:
        raise JobNotFound(job_id)
    return number


def load_job(connection: Connection, number: int, *, recent: ColumnElement[datetime] | None = None) -> Job:
    """Return the job with this key, which must exist. recent: as for `load_jobs`."""
    return load_jobs(connection, select(jobs).where(jobs.c.number == number), recent=recent)[0]


def load_jobs(
    connection: Connection, statement: Select[Any], *, recent: ColumnElement[datetime] | None = None
) -> list[Job]:
    """Return the jobs whose rows `statement` selects, in its order.

    recent: the time since which reports count for the rates of running tasks; None to leave the rates unknown.
    """
    rows = connection.execute(statement).all()
    images = _images(connection, [row.number for row in rows])
    sums = _sums(connection, images, recent)
    return [_job(row, images[row.number], sums[row.number]) for row in rows]


def held_job(connection: Connection, row: Row[Any]) -> Job:
    """Return the job of a row that the transaction holds: without its tasks' progress, and without images' names."""
    return load_job(connection, row.number) if row.orders is None else _job(row, (), ())


def _job(row: Row[Any], images: Sequence[Any], sums: Sequence[TaskSum]) -> Job:
    stored = {field: getattr(row, field) for field in JOB_COLUMNS}
    # The previous release stores neither orders nor metadata nor target nor options.
    stored["orders"] = row.orders or tuple(ImageOrder(each.image) for each in images)
    stored["options"] = row.options or DEFAULT_JOB_OPTIONS
    stored["aggregate_metadata"] = row.aggregate_metadata or {}
    stored["target"] = row.target or (
        Target(aggregates=(row.aggregate_name,)) if row.for_host is None else Target(hosts=(row.for_host,))
    )
    sizes = {each.image: each.size_bytes for each in images if each.size_bytes is not None}
    by_image = progress_by_image([each.image for each in images], sizes, sums)
    progress = add_up([each.progress for each in by_image])
    return Job(
        **stored,
        image_names={each.image: each.name for each in images if each.name is not None},
        image_sizes=sizes,
        counts=progress.counts,
        progress=progress,
        by_image=by_image,
    )


def load_page(
    connection: Connection, job_id: str, number: int, conditions: Sequence[ColumnElement[bool]], limit: int
) -> list[Task]:
    """Return the first `limit` of the job's tasks that meet the conditions, in the same order.

    conditions: on the keys, the state and the outcome of tasks. The page is found by an index alone; then its rows and
    their names are read.
    """
    keys = (
        select(tasks.c.host_position, tasks.c.image_position)
        .where(tasks.c.job == number, *conditions)
        .order_by(tasks.c.host_position, tasks.c.image_position)
        .limit(limit)
        .subquery()
    )
    is_on_page = and_(tasks.c.host_position == keys.c.host_position, tasks.c.image_position == keys.c.image_position)
    rows: Sequence[Any] = connection.execute(TASKS.join(keys, is_on_page).where(tasks.c.job == number)).all()
    return [Task(job_id, *row) for row in rows]


def load_remaining(connection: Connection, number: int) -> RemainingTasks:
    """Return the hosts of the job, and its tasks that have not ended."""
    hosts = {row.position: row for row in _positions(connection, number, job_hosts, job_hosts.c.host, job_hosts.c.cell)}
    names = {row.position: row.image for row in _positions(connection, number, job_images, job_images.c.image)}
    images: dict[str, tuple[ImageId, ...]] = {}
    asked: dict[str, str] = {}
    failures: dict[tuple[str, ImageId], int] = {}
    alike: dict[tuple[ImageId, ...], tuple[ImageId, ...]] = {}  # thousands of hosts share one list of images
    for position, of_host in groupby(_unended(connection, number), lambda task: task.host_position):
        host, rows = hosts[position], list(of_host)
        left = tuple(names[row.image_position] for row in rows)
        images[host.host] = alike.setdefault(left, left)
        if any(row.attempts for row in rows):
            asked[host.host] = host.cell or ""
        failures |= {(host.host, names[row.image_position]): row.failures for row in rows if row.failures}
    return RemainingTasks(tuple(host.host for host in hosts.values()), images, asked, failures)


def _positions(connection: Connection, number: int, table: Any, *columns: Any) -> Any:
    statement = select(table.c.position, *columns).where(table.c.job == number).order_by(table.c.position)
    return connection.execute(statement).all()


def _unended(connection: Connection, number: int) -> Any:
    columns = (tasks.c.host_position, tasks.c.image_position, tasks.c.attempts, tasks.c.failures)
    statement = select(*columns).where(tasks.c.job == number, tasks.c.state != TaskState.ENDED)
    return connection.execute(statement.order_by(tasks.c.host_position, tasks.c.image_position))


def _images(connection: Connection, numbers: Sequence[int]) -> dict[int, list[Any]]:
    """Return the images with their names and sizes, by job, in the order of the request."""
    columns = (job_images.c.job, job_images.c.image, job_images.c.name, job_images.c.size_bytes)
    images: dict[int, list[Any]] = {number: [] for number in numbers}
    for batch in batches(numbers):
        statement = select(*columns).where(job_images.c.job.in_(batch))
        for row in connection.execute(statement.order_by(job_images.c.job, job_images.c.position)):
            images[row.job].append(row)
    return images


def _sums(
    connection: Connection, images: Mapping[int, Sequence[Any]], recent: ColumnElement[datetime] | None
) -> dict[int, list[TaskSum]]:
    """Return the sums over the tasks of each job, from what is kept and from the rows of the running tasks."""
    sums: dict[int, list[TaskSum]] = {number: [] for number in images}
    running: dict[tuple[int, int], int] = {}
    now: list[Any]
    for batch in batches(sorted(images)):
        kept = select(job_counts).where(job_counts.c.job.in_(batch), job_counts.c.tasks > 0)
        for job, image_position, standing, count, done, total, *sources in connection.execute(kept):
            if standing == TaskState.RUNNING:
                running[job, image_position] = count
            else:
                known = TaskState.WAITING if standing == TaskState.WAITING else Outcome(standing)
                image = images[job][image_position].image
                sums[job].append(TaskSum(image, known, count, done, total, bytes_from=_bytes_from(sources)))
    if not running:
        return sums
    for batch in batches(sorted({job for job, _ in running})):
        for job, image_position, *amounts in connection.execute(_running_tasks(batch, recent)):
            image, count = images[job][image_position].image, running.get((job, image_position), 0)
            now = [None if each is None else int(each) for each in amounts]  # some databases sum up to a Decimal
            done, total, without_total, rate, *sources = now
            running_sum = TaskSum(
                image, TaskState.RUNNING, count, done, total, without_total, rate, _bytes_from(sources)
            )
            sums[job].append(running_sum)
    return sums


def _bytes_from(numbers: Sequence[int | None]) -> BytesFrom:
    image_service, hosts, cache = (number or 0 for number in numbers)
    return BytesFrom(image_service=image_service, hosts=hosts, cache=cache)


def _running_tasks(numbers: Sequence[int], recent: ColumnElement[datetime] | None) -> Select[Any]:
    """Select (job, image_position, bytes_done, bytes_total, without_total, rate, and the bytes by source), sums over
    running tasks.
    """
    rate = null() if recent is None else func.sum(case((tasks.c.reported_at >= recent, tasks.c.rate_bytes_per_s)))
    is_unknown = (tasks.c.bytes_total == 0) & (tasks.c.phase != Phase.DONE)
    without_total = func.sum(case((is_unknown, 1), else_=0))
    sources = map(func.sum, source_columns())
    sums = (func.sum(tasks.c.bytes_done), func.sum(tasks.c.bytes_total), without_total, rate, *sources)
    return (
        select(tasks.c.job, tasks.c.image_position, *sums)
        .where(tasks.c.job.in_(numbers), tasks.c.state == TaskState.RUNNING, tasks.c.outcome.is_(None))
        .group_by(tasks.c.job, tasks.c.image_position)
    )
