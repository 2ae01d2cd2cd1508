"""Read which tasks of a job have not ended: as numbers, because a job may have 100,000 of them."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from precache.adapters.sql.tables import job_hosts, job_images, tasks
from precache.core.images import ImageId
from precache.core.jobs import TaskState
from precache.ports.job_store import RemainingTasks


def load_remaining(connection: Connection, number: int) -> RemainingTasks:
    """Return the hosts of the job, and its tasks that have not ended."""
    hosts = {row.position: row for row in _rows(connection, number, job_hosts, job_hosts.c.host, job_hosts.c.cell)}
    names = {row.position: row.image for row in _rows(connection, number, job_images, job_images.c.image)}
    images: dict[str, tuple[ImageId, ...]] = {}
    asked: dict[str, str] = {}
    alike: dict[tuple[ImageId, ...], tuple[ImageId, ...]] = {}  # thousands of hosts share one list of images
    for position, of_host in groupby(_unended(connection, number), lambda task: task.host_position):
        host, rows = hosts[position], list(of_host)
        left = tuple(names[row.image_position] for row in rows)
        images[host.host] = alike.setdefault(left, left)
        if any(row.attempts for row in rows):
            asked[host.host] = host.cell or ""
    return RemainingTasks(tuple(host.host for host in hosts.values()), images, asked)


def _rows(connection: Connection, number: int, table: Any, *columns: Any) -> Any:
    statement = select(table.c.position, *columns).where(table.c.job == number).order_by(table.c.position)
    return connection.execute(statement).all()


def _unended(connection: Connection, number: int) -> Any:
    columns = (tasks.c.host_position, tasks.c.image_position, tasks.c.attempts)
    statement = select(*columns).where(tasks.c.job == number, tasks.c.state != TaskState.ENDED)
    return connection.execute(statement.order_by(tasks.c.host_position, tasks.c.image_position))
