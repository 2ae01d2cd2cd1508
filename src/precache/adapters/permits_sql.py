"""Permits to call hosts, with one row for each job that has or wants some.

All exchanges lock the same row, so that they come one after another: three statements for any number of hosts. Times
are by the database's clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, select, union

from precache.adapters.sql import Database
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import job_calls, jobs, locks
from precache.core.host_calls import CallLimits, HostCall, JobCalls, Place, Wish
from precache.core.jobs import Claim, JobState
from precache.ports.call_permits import CallPermits
from precache.rules.permit_exchange import WISH_TIME, StoredCalls, exchange_permits

_LOCK = "host_calls"
_CHANGING = ("owner", "token", "priority", "held", "wish", "last_grant", "updated_at")


class SqlCallPermits(CallPermits):
    """The port `CallPermits`.

    database: with the limits for leases, because a process that is halted in an exchange holds up all others.
    limits: the same in all conductors. longest_call: how long permits count after their conductor's last exchange.
    """

    def __init__(self, *, database: Database, limits: CallLimits, longest_call: timedelta) -> None:
        self._database = database
        self._limits = limits
        self._longest_call = longest_call

    @idempotent
    def exchange(self, jobs: Sequence[JobCalls]) -> Mapping[Claim, Sequence[HostCall]]:
        with self._database.write() as connection:
            _lock(connection)
            rows = connection.execute(self._state([each.claim.job_id for each in jobs])).all()
            claims = {row.id: Claim(row.id, row.lease_owner, row.lease_token) for row in rows if _is_running(row)}
            before = {row.id: _read(row) for row in rows if row.owner is not None}
            counted = {
                row.id: before[row.id] if row.is_held and row.is_wish_fresh else replace(before[row.id], wish=None)
                for row in rows
                if row.owner is not None and (row.is_held or row.is_recent)
            }
            running = {each.claim for each in jobs if claims.get(each.claim.job_id) == each.claim}
            tokens = {row.id: row.lease_token for row in rows}
            ended = {each.claim for each in jobs if tokens.get(each.claim.job_id) == each.claim.token} - running
            exchanged = exchange_permits(list(counted.values()), jobs, running, ended, self._limits)
            after = {each.claim.job_id: each for each in exchanged.stored}
            _store(connection, rows, before, counted | after, after)
            return exchanged.given

    def _state(self, own: Sequence[str]) -> Select[Any]:
        """Return the selection of these jobs, and of all that have permits or want some."""
        now = self._database.now()
        some = union(select(job_calls.c.job), select(jobs.c.number).where(jobs.c.id.in_(own))).subquery()
        is_held = and_(
            jobs.c.state == JobState.RUNNING,
            jobs.c.lease_owner == job_calls.c.owner,
            jobs.c.lease_token == job_calls.c.token,
            jobs.c.lease_until > now,
        )
        return (
            select(
                jobs.c.id,
                jobs.c.number,
                jobs.c.state,
                jobs.c.lease_owner,
                jobs.c.lease_token,
                *(each for each in job_calls.c if each.name not in ("job", "updated_at")),
                now.label("now"),
                is_held.label("is_held"),
                (job_calls.c.updated_at > self._database.now(-self._longest_call)).label("is_recent"),
                (job_calls.c.updated_at > self._database.now(-WISH_TIME)).label("is_wish_fresh"),
            )
            .select_from(some)
            .join(jobs, jobs.c.number == some.c.job)
            .join(job_calls, job_calls.c.job == jobs.c.number, isouter=True)
            .order_by(jobs.c.number)
        )


def _store(
    connection: Connection,
    rows: Sequence[Any],
    before: Mapping[str, StoredCalls],
    counted: Mapping[str, StoredCalls],
    after: Mapping[str, StoredCalls],
) -> None:
    """Write what has changed, and the wishes, which count only for some time. Remove what no longer counts."""
    changed = [
        {"job": row.number, "updated_at": row.now, **_columns(after[row.id])}
        for row in rows
        if row.id in after and not after[row.id].is_empty
        if after[row.id].wish is not None or after[row.id] != before.get(row.id)
    ]
    upsert(connection, job_calls, changed, key=["job"], changing=_CHANGING)
    gone = [row.number for row in rows if row.id in before and (row.id not in counted or counted[row.id].is_empty)]
    if gone:
        connection.execute(delete(job_calls).where(job_calls.c.job.in_(gone)))


def _is_running(row: Any) -> bool:
    return row.state is JobState.RUNNING and row.lease_owner is not None


def _read(row: Any) -> StoredCalls:
    held = tuple(HostCall(host, Place(cell, site)) for host, cell, site in json.loads(row.held))
    wish = None if row.wish is None else _read_wish(json.loads(row.wish))
    return StoredCalls(Claim(row.id, row.owner, row.token), row.priority, held, wish, row.last_grant)


def _read_wish(document: Mapping[str, Any]) -> Wish:
    # The release before has no swarms.
    hosts, swarm_hosts = (
        {Place(cell, site): count for cell, site, count in document.get(name, [])} for name in ("hosts", "swarm_hosts")
    )
    limits = document["most"], document["most_per_site"]
    return Wish(hosts, *limits, document["room"], swarm_hosts, document.get("swarm_room", 0))


def _columns(stored: StoredCalls) -> dict[str, Any]:
    wish = stored.wish
    return {
        "owner": stored.claim.owner,
        "token": stored.claim.token,
        "priority": stored.priority,
        "held": json.dumps([(call.host, *call.place) for call in stored.held]),
        "wish": None if wish is None else json.dumps(_wish_document(wish)),
        "last_grant": stored.last_grant,
    }


def _wish_document(wish: Wish) -> dict[str, Any]:
    hosts, swarm_hosts = ([(*place, count) for place, count in of.items()] for of in (wish.hosts, wish.swarm_hosts))
    document = {"hosts": hosts, "most": wish.most, "most_per_site": wish.most_per_site, "room": wish.room}
    return document | {"swarm_hosts": swarm_hosts, "swarm_room": wish.swarm_room}


def _lock(connection: Connection) -> None:
    row = select(locks.c.name).where(locks.c.name == _LOCK).with_for_update()
    if connection.scalar(row) is None:
        upsert(connection, locks, [{"name": _LOCK}], key=["name"])
        connection.scalar(row)
