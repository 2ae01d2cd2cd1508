"""The notices of jobs and their deliveries, which the conductor with the duty sends and removes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from precache.adapters.jobs_sql.rows import load_jobs
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import deliveries, job_notices, jobs
from precache.core.job_notices import Delivery, JobNotice, NewDelivery, notice_id
from precache.core.jobs import Job


class SqlNoticeOutbox:
    """The port `NoticeOutbox`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def oldest(self, limit: int) -> list[JobNotice]:
        return self._load(limit)

    @idempotent
    def without_deliveries(self, limit: int) -> list[JobNotice]:
        return self._load(limit, job_notices.c.has_deliveries.is_(False))

    def _load(self, limit: int, *conditions: ColumnElement[bool]) -> list[JobNotice]:
        wanted = (
            select(job_notices, self._database.now().label("now"), jobs.c.id.label("job_id"))
            .join_from(job_notices, jobs, jobs.c.number == job_notices.c.job, isouter=True)
            .where(*conditions)
            .order_by(job_notices.c.number)
            .limit(limit)
        )
        # Usually there are none, so this takes one statement. A job may be newer than its notice in any case.
        with self._database.read(is_one_statement=True) as connection:
            rows = connection.execute(wanted).all()
        found = _jobs(self._database, {row.job: row.job_id for row in rows if row.job_id is not None})
        if orphans := [row.number for row in rows if row.job not in found]:
            self.remove(orphans)
        return [_notice(row, found[row.job]) for row in rows if row.job in found]

    @idempotent
    def add_deliveries(self, notices: Collection[int], new: Sequence[NewDelivery]) -> None:
        columns = (job_notices.c.number, job_notices.c.job, job_notices.c.event, jobs.c.id)
        joined = select(*columns).join(jobs, jobs.c.number == job_notices.c.job)
        with self._database.write() as connection:
            now = self._database.now()
            for some in batches(sorted(notices)):
                these = job_notices.c.number.in_(some) & job_notices.c.has_deliveries.is_(False)
                found = {row.number: row for row in connection.execute(joined.where(these))}
                own = [(found[each.notice], each) for each in new if each.notice in found]
                if own:
                    rows = [_values(row, delivery) for row, delivery in own]
                    connection.execute(insert(deliveries).values(since=now, due_at=now), rows)
                connection.execute(update(job_notices).where(these).values(has_deliveries=True))

    @idempotent
    def remove(self, notices: Collection[int]) -> None:
        _remove(self._database, job_notices, notices)

    @idempotent
    def keep_newest(self, count: int) -> int:
        return _keep_newest(self._database, job_notices, count)


class SqlDeliveryQueue:
    """The port `DeliveryQueue`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def due(self, limit: int, *, skip: Collection[str] = ()) -> list[Delivery]:
        earlier = deliveries.alias()
        is_earlier = (earlier.c.job == deliveries.c.job) & (earlier.c.url == deliveries.c.url)
        is_first = ~select(earlier.c.number).where(is_earlier, earlier.c.number < deliveries.c.number).exists()
        now = self._database.now()
        wanted = select(deliveries, now.label("now")).where(deliveries.c.due_at <= now, is_first)
        if skip:
            wanted = wanted.where(deliveries.c.url.not_in(sorted(skip)))
        with self._database.read(is_one_statement=True) as connection:
            rows = connection.execute(wanted.order_by(deliveries.c.number).limit(limit)).all()
        return [
            Delivery(row.number, row.notice_id, row.event, row.url, row.body, row.attempts, row.now - row.since)
            for row in rows
        ]

    @idempotent
    def put_back(self, numbers: Collection[int], after: timedelta) -> None:
        again = {"attempts": deliveries.c.attempts + 1, "due_at": self._database.now(after)}
        with self._database.write() as connection:
            for some in batches(sorted(numbers)):
                connection.execute(update(deliveries).where(deliveries.c.number.in_(some)).values(again))

    @idempotent
    def remove(self, numbers: Collection[int]) -> None:
        _remove(self._database, deliveries, numbers)

    @idempotent
    def keep_newest(self, count: int) -> int:
        return _keep_newest(self._database, deliveries, count)


def _notice(row: Any, job: Job) -> JobNotice:
    return JobNotice(
        row.number,
        job,
        row.event,
        row.at,
        row.reason,
        has_deliveries=row.has_deliveries,
        old_state=row.old_state,
        old_reason=row.old_reason,
        age=row.now - row.at,
    )


def _values(row: Any, delivery: NewDelivery) -> dict[str, Any]:
    """Return the columns of a new delivery. row: of its notice."""
    return {
        "job": row.job,
        "notice_id": notice_id(row.id, row.number),
        "event": row.event,
        "url": delivery.url,
        "body": delivery.body,
        "attempts": 0,
    }


def _jobs(database: Database, ids: Mapping[int, str]) -> dict[int, Job]:
    """Return those of the jobs, given by their keys, that exist."""
    if not ids:
        return {}
    with database.read() as connection:
        by_id = {job.id: job for job in load_jobs(connection, select(jobs).where(jobs.c.number.in_(ids)))}
    return {number: by_id[job_id] for number, job_id in ids.items() if job_id in by_id}


def _remove(database: Database, table: Table, numbers: Collection[int]) -> None:
    with database.write() as connection:
        for some in batches(sorted(numbers)):
            connection.execute(delete(table).where(table.c.number.in_(some)))


def _keep_newest(database: Database, table: Table, count: int) -> int:
    with database.read() as connection:
        newest = connection.scalar(select(func.max(table.c.number)))
    if newest is None:
        return 0
    with database.write() as connection:
        # Numbers grow by one, nearly: counting the rows would cost as much as there are.
        return connection.execute(delete(table).where(table.c.number <= newest - count)).rowcount
