"""Read and write the tasks of one host. The caller holds the row of the job, so nobody else changes them meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, update

from precache.adapters.jobs_sql.rows import load_tasks
from precache.adapters.sql.tables import job_hosts, job_images, tasks
from precache.core.errors import TaskNotFound
from precache.core.images import ImageId
from precache.core.jobs import Task

_CHANGING = (
    "state",
    "outcome",
    "phase",
    "bytes_done",
    "bytes_total",
    "attempts",
    "reason",
    "started_at",
    "finished_at",
)
"""The fields of a task that change in its life, named alike in the value and in the table."""


class HostTasks(dict[ImageId, Task]):
    """The tasks of one host by image. Raises TaskNotFound for an image that the job does not ask of the host."""

    def __init__(self, *, job_id: str, host: str, tasks: Iterable[Task]) -> None:
        super().__init__((task.image, task) for task in tasks)
        self._job_id, self._host = job_id, host

    def __missing__(self, image: ImageId) -> Task:
        raise TaskNotFound(self._job_id, self._host, image)


def load_host_tasks(connection: Connection, job_id: str, number: int, host: str) -> HostTasks:
    """Give the tasks of the host; none if the job does not name it."""
    found = load_tasks(connection, job_id, number, job_hosts.c.host == host)
    return HostTasks(job_id=job_id, host=host, tasks=found)


def save_host_tasks(connection: Connection, number: int, host: str, changed: Iterable[Task]) -> None:
    """Write what has changed of these tasks of the host."""
    values = [
        {"the_image": task.image, **{f"new_{field}": getattr(task, field) for field in _CHANGING}} for task in changed
    ]
    if not values:
        return
    of_host = select(job_hosts.c.position).where(job_hosts.c.job == number, job_hosts.c.host == host)
    of_image = select(job_images.c.position).where(
        job_images.c.job == number, job_images.c.image == bindparam("the_image")
    )
    statement = (
        update(tasks)
        .where(tasks.c.job == number)
        .where(tasks.c.host_position == of_host.scalar_subquery())
        .where(tasks.c.image_position == of_image.scalar_subquery())
        .values({field: bindparam(f"new_{field}") for field in _CHANGING})
    )
    connection.execute(statement, values)


def save_cell(connection: Connection, number: int, host: str, cell: str) -> None:
    """Note for the job in which cell the host is."""
    of_host = (job_hosts.c.job == number) & (job_hosts.c.host == host)
    connection.execute(update(job_hosts).where(of_host).values(cell=cell))
