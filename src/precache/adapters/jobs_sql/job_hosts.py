"""Reads the hosts of a job with their progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from precache.adapters.sql.batches import batches
from precache.adapters.sql.tables import cells, hosts, job_hosts, job_images, tasks
from precache.core.errors import HostNotFound
from precache.core.images import ImageId
from precache.core.job_hosts import HostProgress, HostTask, JobHostFilter
from precache.core.jobs import TaskState
from precache.rules.job_progress import host_progress

# The cell in which the host was called comes before the one that it belongs to now.
_CELL: Any = func.coalesce(job_hosts.c.cell, cells.c.name)
_SITE: Any = func.coalesce(hosts.c.site, hosts.c.aggregate_site, _CELL)
_PLACES = (
    select(job_hosts.c.position, job_hosts.c.host, _CELL.label("cell"), _SITE.label("site"))
    .select_from(job_hosts)
    .outerjoin(hosts, hosts.c.name == job_hosts.c.host)
    .outerjoin(cells, cells.c.id == hosts.c.cell_id)
    .order_by(job_hosts.c.position)
)


def load_hosts(
    connection: Connection, number: int, only: JobHostFilter, limit: int, marker: str | None, recent: Any
) -> list[HostProgress]:
    """Return the first `limit` hosts that the filter selects, after the host `marker`. Raises HostNotFound.

    recent: the time since which reports count for the rates of running tasks.
    """
    page = _PLACES.where(job_hosts.c.job == number, *_conditions(number, only)).limit(limit)
    if marker is not None:
        place = select(job_hosts.c.position).where(job_hosts.c.job == number, job_hosts.c.host == marker)
        if (last := connection.scalar(place)) is None:
            raise HostNotFound(marker)
        page = page.where(job_hosts.c.position > last)
    found = connection.execute(page).all()
    images = select(job_images.c.image, job_images.c.size_bytes).where(job_images.c.job == number)
    sizes = dict(tuple(row) for row in connection.execute(images.order_by(job_images.c.position)))
    of_host = _tasks(connection, number, [row.position for row in found], list(sizes), recent)
    known = {image: size for image, size in sizes.items() if size is not None}
    return [host_progress(row.host, row.cell, row.site, of_host.get(row.position, ()), known) for row in found]


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
    connection: Connection, number: int, positions: Sequence[int], images: Sequence[ImageId], recent: Any
) -> Mapping[int, Sequence[HostTask]]:
    """Return the tasks of these hosts, by the position of the host. images: in the order of the request."""
    rate = case((tasks.c.reported_at >= recent, tasks.c.rate_bytes_per_s))
    columns = [rate if name == "rate_bytes_per_s" else tasks.c[name] for name in HostTask._fields[1:]]
    wanted = select(tasks.c.host_position, tasks.c.image_position, *columns).where(tasks.c.job == number)
    wanted = wanted.order_by(tasks.c.host_position, tasks.c.image_position)
    found: defaultdict[int, list[HostTask]] = defaultdict(list)
    for batch in batches(positions):
        for host_position, image_position, *fields in connection.execute(_at(wanted, batch)):
            found[host_position].append(HostTask(images[image_position], *fields))
    return found


def _at(statement: Select[Any], positions: Sequence[int]) -> Select[Any]:
    """Narrow the statement to these hosts: for neighbours by a range, which the database reads in one go."""
    first, last = positions[0], positions[-1]
    if last - first + 1 == len(positions):
        return statement.where(tasks.c.host_position.between(first, last))
    return statement.where(tasks.c.host_position.in_(positions))
