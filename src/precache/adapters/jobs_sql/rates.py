"""Measures the downloads of recent jobs, in a bounded number of statements and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from precache.adapters.jobs_sql.rows import load_jobs
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import job_hosts, job_images, jobs, tasks
from precache.core.jobs import Job, JobState, Outcome, TaskState
from precache.core.transfer_rates import MeasuredRate
from precache.ports.transfer_rates import MOST_JOBS, MOST_TASKS
from precache.rules.measured_rates import EndedDownload, is_measurable, measure, sampled_positions

_FINAL = [state for state in JobState if state.is_final]


class SqlTransferRates:
    """The port `TransferRates`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def recent_rates(self) -> Mapping[str, MeasuredRate]:
        newest = jobs.c.created_at.desc(), jobs.c.number.desc()
        with self._database.read() as connection:
            recent = load_jobs(
                connection, select(jobs).where(jobs.c.state.in_(_FINAL)).order_by(*newest).limit(MOST_JOBS)
            )
            return measure(each for job in recent for each in _downloads(connection, job))


def _downloads(connection: Connection, job: Job) -> Iterator[EndedDownload]:
    images = [order.image for order in job.orders if is_measurable(job, order)]
    if not images or not job.counts.get(Outcome.CACHED):
        return
    hosts = sampled_positions(job.task_count // len(job.orders), MOST_TASKS // len(images))
    rows = connection.execute(
        select(job_hosts.c.cell, tasks.c.bytes_done, tasks.c.started_at, tasks.c.finished_at)
        .join_from(tasks, jobs, jobs.c.number == tasks.c.job)
        .join(job_hosts, (job_hosts.c.job == tasks.c.job) & (job_hosts.c.position == tasks.c.host_position))
        .join(job_images, (job_images.c.job == tasks.c.job) & (job_images.c.position == tasks.c.image_position))
        .where(
            jobs.c.id == job.id,
            tasks.c.host_position.in_(hosts),
            tasks.c.state == TaskState.ENDED,
            tasks.c.outcome == Outcome.CACHED,
            func.coalesce(tasks.c.bytes_hosts, 0) == 0,  # it was fetched from the image service
            job_images.c.image.in_(images),
        )
        .limit(MOST_TASKS)
    )
    for row in rows:
        if row.cell is not None and row.started_at is not None and row.finished_at is not None:
            yield EndedDownload(job.id, row.cell, row.bytes_done, row.started_at, row.finished_at)
