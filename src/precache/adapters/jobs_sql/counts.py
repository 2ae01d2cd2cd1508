"""Keeps the number of tasks, and the sums of their bytes, by job, image and standing, so that no look counts tasks.

Whatever changes tasks calls one of two functions, in the same transaction, which holds the row of the job:
`save_changes` with each task before and after, or `count_again` after a statement that changes any number of tasks. A
new job begins with `count_waiting`.

The standing of a task is its outcome, or its state until it has ended. Running tasks, of which there are few, are only
counted here: their bytes change with every report and are read from their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, insert, select

from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.tables import job_counts, tasks
from precache.core.jobs import Task, TaskState

_KEY = ("job", "image_position", "standing")
_SOURCES = ("bytes_image_service", "bytes_hosts", "bytes_cache")
_SUMS = ("tasks", "bytes_done", "bytes_total", *_SOURCES)

_IS_RUNNING = tasks.c.state == TaskState.RUNNING


def count_waiting(connection: Connection, number: int, *, image_count: int, host_count: int) -> None:
    """Count the tasks of a new job, which all wait."""
    none: dict[str, Any] = dict.fromkeys(_SUMS, 0)
    waiting = none | {"standing": TaskState.WAITING.value, "tasks": host_count}
    rows = [{"job": number, "image_position": place} | waiting for place in range(image_count)]
    if rows:
        connection.execute(insert(job_counts), rows)


def save_changes(connection: Connection, number: int, changes: Iterable[tuple[int, Task, Task]]) -> None:
    """Add what the changes of tasks mean for the counts of their job, with one statement.

    changes: the position of the image, the task before, and the task after.
    """
    deltas: dict[tuple[int, str], list[int]] = {}
    for image_position, before, after in changes:
        for sign, task in ((-1, before), (1, after)):
            sums = deltas.setdefault((image_position, _standing(task)), [0] * len(_SUMS))
            for place, amount in enumerate(_amounts(task)):
                sums[place] += sign * amount
    rows: list[Mapping[str, Any]] = [
        {"job": number, "image_position": image_position, "standing": standing} | dict(zip(_SUMS, sums, strict=True))
        for (image_position, standing), sums in sorted(deltas.items())
        if any(sums)
    ]
    upsert(connection, job_counts, rows, key=_KEY, adding=_SUMS)


def count_again(connection: Connection, number: int) -> None:
    """Count the tasks of the job again, in two statements."""
    connection.execute(delete(job_counts).where(job_counts.c.job == number))
    connection.execute(insert(job_counts).from_select([*_KEY, *_SUMS], _counted(number)))


def _standing(task: Task) -> str:
    return str(task.outcome or task.state)


def _amounts(task: Task) -> tuple[int, ...]:
    """Return what the task adds, in the order of `_SUMS`."""
    if task.state is TaskState.RUNNING:
        return (1, 0, 0, 0, 0, 0)
    return (1, task.bytes_done, task.bytes_total, *task.bytes_from.document().values())


def source_columns() -> list[ColumnElement[int]]:
    """Return the numbers of a task by source, in the order of `_SOURCES`, as `Task.bytes_from` has them."""
    is_unknown = tasks.c.bytes_hosts.is_(None)
    from_image_service = case((is_unknown, tasks.c.bytes_done), else_=func.coalesce(tasks.c.bytes_image_service, 0))
    return [from_image_service, *(func.coalesce(column, 0) for column in (tasks.c.bytes_hosts, tasks.c.bytes_cache))]


def _counted(number: int) -> Select[Any]:
    standing = func.coalesce(tasks.c.outcome, tasks.c.state)
    columns = (tasks.c.bytes_done, tasks.c.bytes_total, *source_columns())
    amounts = [func.sum(case((_IS_RUNNING, 0), else_=column)) for column in columns]
    return (
        select(tasks.c.job, tasks.c.image_position, standing, func.count(), *amounts)
        .where(tasks.c.job == number)
        .group_by(tasks.c.job, tasks.c.image_position, standing)
    )
