"""The filters and orders of lists of jobs, as conditions and columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select

from precache.adapters.sql.tables import job_aggregates, job_hosts, job_images, jobs
from precache.core.errors import JobNotFound
from precache.core.job_lists import JobFilter, JobSort, JobSortKey
from precache.core.jobs import JobState

_COLUMNS: dict[JobSortKey, Any] = {
    JobSortKey.CREATED_AT: jobs.c.created_at,
    JobSortKey.PRIORITY: jobs.c.priority,
    JobSortKey.STATE: jobs.c.state,
    JobSortKey.FINISHED_AT: jobs.c.finished_at,
}
_TIMES_OF_CHANGES = (
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.cancel_requested_at,
    jobs.c.pause_requested_at,
)


def conditions(only: JobFilter) -> list[ColumnElement[bool]]:
    """Return what must hold for a job that the filter selects."""
    found: list[ColumnElement[bool]] = []
    if only.states:
        found.append(jobs.c.state.in_(sorted(only.states)))
    if only.operations:
        found.append(jobs.c.operation.in_(sorted(only.operations)))
    if only.image is not None:
        found.append(jobs.c.number.in_(select(job_images.c.job).where(job_images.c.image == only.image)))
    if only.host is not None:
        found.append(jobs.c.number.in_(select(job_hosts.c.job).where(job_hosts.c.host == only.host)))
    if only.aggregate is not None:
        named = jobs.c.number.in_(select(job_aggregates.c.job).where(job_aggregates.c.name == only.aggregate))
        number = only.aggregate_id  # 0 stands for no aggregate
        found.append(or_(named, jobs.c.aggregate_id == number) if number else named)
    if only.name is not None:
        found.append(jobs.c.name == only.name)
    if only.since is not None:
        found.append(jobs.c.created_at >= only.since)
    if only.changed_since is not None:
        changed = [time >= only.changed_since for time in _TIMES_OF_CHANGES]
        found.append(or_(jobs.c.state == JobState.RUNNING, *changed))
    return found


def in_order(sort: JobSort) -> list[ColumnElement[Any]]:
    """Return the columns to order by. Databases differ in where NULL comes; here it is the greatest value."""
    column = _COLUMNS[sort.key]
    columns = [*([column.is_(None)] if column.nullable else []), column, jobs.c.number]
    return [each.desc() if sort.is_descending else each.asc() for each in columns]


def comes_after(connection: Connection, marker: str, sort: JobSort) -> ColumnElement[bool]:
    """Return the condition that a job comes after this one in the order. Raises JobNotFound."""
    column = _COLUMNS[sort.key]
    last = connection.execute(select(column.label("value"), jobs.c.number).where(jobs.c.id == marker)).first()
    if last is None:
        raise JobNotFound(marker)
    is_later = jobs.c.number < last.number if sort.is_descending else jobs.c.number > last.number
    if last.value is None:
        beyond = column.is_not(None) if sort.is_descending else false()
        return or_(beyond, and_(column.is_(None), is_later))
    beyond = column < last.value if sort.is_descending else column > last.value
    if column.nullable and not sort.is_descending:
        beyond = or_(beyond, column.is_(None))
    return or_(beyond, and_(column == last.value, is_later))
