"""Reads and writes the tasks of some hosts of a job, with few statements for hundreds of hosts.

The caller holds the row of the job, so no other transaction changes them meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from precache.adapters.jobs_sql.counts import save_changes
from precache.adapters.jobs_sql.rows import TASK_COLUMNS, TASKS
from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.tables import job_hosts, tasks
from precache.core.images import ImageId
from precache.core.jobs import Task

_KEY = ("job", "host_position", "image_position")

_PLACED_TASKS = TASKS.add_columns(tasks.c.host_position, tasks.c.image_position)


class HostTasks:
    """The tasks of some hosts as they were read, and their positions."""

    def __init__(self) -> None:
        self._tasks: defaultdict[str, dict[ImageId, Task]] = defaultdict(dict)
        self._places: dict[tuple[str, ImageId], tuple[int, int]] = {}

    def add(self, task: Task, host_position: int, image_position: int) -> None:
        self._tasks[task.host][task.image] = task
        self._places[task.host, task.image] = host_position, image_position

    def of_host(self, host: str) -> Mapping[ImageId, Task]:
        """Return the host's tasks by image; none if the job does not name the host."""
        return self._tasks.get(host, {})

    def place(self, task: Task) -> tuple[int, int]:
        """Return the positions of the task's host and image in the request."""
        return self._places[task.host, task.image]


def load_host_tasks(
    connection: Connection, job_id: str, number: int, hosts: Collection[str], *conditions: ColumnElement[bool]
) -> HostTasks:
    """Return the tasks that the job has for these hosts, and that meet the conditions."""
    found = HostTasks()
    for batch in batches(sorted(hosts)):
        rows: Sequence[Any] = connection.execute(
            _PLACED_TASKS.where(tasks.c.job == number, job_hosts.c.host.in_(batch), *conditions)
        ).all()
        for *fields, host_position, image_position in rows:
            found.add(Task(job_id, *fields), host_position, image_position)
    return found


def save_host_tasks(
    connection: Connection, number: int, held: HostTasks, changed: Mapping[str, Mapping[ImageId, Task]]
) -> None:
    """Write the differences between `changed`, by host and image, and the tasks that were read, and count them."""
    rows, changes = [], []
    cells: defaultdict[str | None, set[int]] = defaultdict(set)
    for host, of_host in changed.items():
        for image, task in of_host.items():
            old = held.of_host(host)[image]
            if task == old:
                continue
            place = held.place(task)
            changes.append((place[1], old, task))
            rows.append(
                dict(zip(_KEY, (number, *place), strict=True)) | {field: getattr(task, field) for field in TASK_COLUMNS}
            )
            if task.cell != old.cell:
                cells[task.cell].add(place[0])
    upsert(connection, tasks, rows, key=_KEY, changing=TASK_COLUMNS)
    save_changes(connection, number, changes)
    for cell, positions in cells.items():
        for batch in batches(sorted(positions)):
            of_cell = (job_hosts.c.job == number) & job_hosts.c.position.in_(batch)
            connection.execute(update(job_hosts).where(of_cell).values(cell=cell))
