"""Reads the hosts of a job with their progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from precache.adapters.jobs_sql.rows import TASKS
from precache.adapters.sql.batches import batches
from precache.adapters.sql.tables import cells, hosts, job_hosts, job_images, tasks
from precache.core.errors import HostNotFound
from precache.core.images import ImageId
from precache.core.job_hosts import HostProgress, JobHostFilter
from precache.core.jobs import Task, TaskState
from precache.rules.job_progress import host_progress
from precache.rules.transfer_rate import with_current_rate

# The cell in which the host was called comes before the one that it belongs to now.
_CELL: Any = func.coalesce(job_hosts.c.cell, cells.c.name)
_SITE: Any = func.coalesce(hosts.c.site, _CELL)
_PLACES = (
    select(job_hosts.c.position, job_hosts.c.host, _CELL.label("cell"), _SITE.label("site"))
    .select_from(job_hosts)
    .outerjoin(hosts, hosts.c.name == job_hosts.c.host)
    .outerjoin(cells, cells.c.id == hosts.c.cell_id)
    .order_by(job_hosts.c.position)
)


def load_hosts(
    connection: Connection, job_id: str, number: int, only: JobHostFilter, limit: int, marker: str | None, now: datetime
) -> list[HostProgress]:
    """Return the first `limit` hosts that the filter selects, after the host `marker`. Raises HostNotFound."""
    page = _PLACES.where(job_hosts.c.job == number, *_conditions(number, only)).limit(limit)
    if marker is not None:
        place = select(job_hosts.c.position).where(job_hosts.c.job == number, job_hosts.c.host == marker)
        if (last := connection.scalar(place)) is None:
            raise HostNotFound(marker)
        page = page.where(job_hosts.c.position > last)
    found = connection.execute(page).all()
    of_host = _tasks(connection, job_id, number, [row.position for row in found], now)
    sizes = _sizes(connection, number)
    return [host_progress(row.host, row.cell, row.site, of_host.get(row.host, []), sizes) for row in found]


def _conditions(number: int, only: JobHostFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if only.cell is not None:
        found.append(only.cell == _CELL)
    if only.site is not None:
        found.append(only.site == _SITE)
    runs, waits = (
        job_hosts.c.position.in_(_with_task(number, state)) for state in (TaskState.RUNNING, TaskState.WAITING)
    )
    match only.state:
        case TaskState.RUNNING:
            found.append(runs)
        case TaskState.WAITING:
            found += [waits, ~runs]
        case TaskState.ENDED:
            found += [~waits, ~runs]
    return found


def _with_task(number: int, state: TaskState) -> Select[tuple[int]]:
    """Select the positions of the hosts that have a task in this state."""
    of_state = (tasks.c.job == number) & (tasks.c.state == state) & tasks.c.outcome.is_(None)
    return select(tasks.c.host_position).where(of_state)


def _tasks(
    connection: Connection, job_id: str, number: int, positions: list[int], now: datetime
) -> Mapping[str, list[Task]]:
    found: defaultdict[str, list[Task]] = defaultdict(list)
    for batch in batches(positions):
        wanted = TASKS.where(tasks.c.job == number, tasks.c.host_position.in_(batch))
        rows: Any = connection.execute(wanted).all()
        for row in rows:
            task = Task(job_id, *row)
            found[task.host].append(with_current_rate(task, now))
    return found


def _sizes(connection: Connection, number: int) -> dict[ImageId, int]:
    known = select(job_images.c.image, job_images.c.size_bytes).where(job_images.c.job == number)
    return {row.image: row.size_bytes for row in connection.execute(known) if row.size_bytes is not None}
