"""Hosts and cells: list them, force hosts down, record their heartbeats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, collate, func, select, update
from sqlalchemy.exc import IntegrityError

from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import TransactionUndone, idempotent, repeatable
from precache.adapters.sql.tables import cells, hosts
from precache.core.errors import HostNotFound
from precache.core.hosts import Heartbeat, Host

_HOSTS = select(
    hosts.c.name,
    cells.c.name,
    hosts.c.driver,
    hosts.c.forced_down,
    hosts.c.last_seen,
    hosts.c.rpc_version,
    hosts.c.release,
    hosts.c.site,
    hosts.c.aggregate_site,
    hosts.c.cache_id,
).join_from(hosts, cells, isouter=True)
"""In the order that `_host` expects: a row that is unpacked whole costs half of one that is read by name."""

_DELETED = "a host or a cell has just been deleted"


class SqlHosts:
    """The ports `HostQueries`, `CellSizes`, `HostChanges`, `HostSites` and `HostReports`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def list_hosts(self, *, limit: int | None = None, marker: str | None = None) -> list[Host]:
        with self._database.read() as connection:
            name = by_code_point(connection, hosts.c.name)
            after = _HOSTS if marker is None else _HOSTS.where(name > marker)
            return self._load(connection, after.order_by(name).limit(limit))

    @repeatable
    def count_hosts(self, cell: str) -> int:
        of_cell = select(func.count()).select_from(hosts).join(cells).where(cells.c.name == cell)
        with self._database.read() as connection:
            return connection.scalar(of_cell) or 0

    @repeatable
    def find_hosts(self, names: Sequence[str]) -> dict[str, Host]:
        found: dict[str, Host] = {}
        with self._database.read() as connection:
            for batch in batches(list(dict.fromkeys(names))):
                for host in self._load(connection, _HOSTS.where(hosts.c.name.in_(batch))):
                    found[host.name] = host
        return found

    @idempotent
    def set_forced_down(self, name: str, forced_down: bool) -> Host:
        with self._database.write() as connection:
            connection.execute(update(hosts).where(hosts.c.name == name).values(forced_down=forced_down))
            found = self._load(connection, _HOSTS.where(hosts.c.name == name))
            if not found:
                raise HostNotFound(name)
            return found[0]

    @idempotent
    def store_sites(self, sites: Mapping[str, str]) -> None:
        with self._database.read() as connection:
            stored = _sites_of(connection, hosts.c.aggregate_site.is_not(None))
            for batch in batches([name for name in sites if name not in stored]):
                stored |= _sites_of(connection, hosts.c.name.in_(batch))
        changed: dict[str | None, list[str]] = {}
        for name, site in stored.items():
            if sites.get(name) != site:
                changed.setdefault(sites.get(name), []).append(name)
        if not changed:
            return
        with self._database.write() as connection:
            for new, names in changed.items():
                for batch in batches(sorted(names)):
                    connection.execute(update(hosts).where(hosts.c.name.in_(batch)).values(aggregate_site=new))

    @idempotent
    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        latest = {beat.host: beat for beat in beats}
        if not latest:
            return
        with self._database.write_singly() as connection, _retry_if_deleted():
            # The time is that of the server's clock; the clock of this process only measures the heartbeat's age.
            now = connection.execute(select(self._database.now().label("now"))).scalar_one()
            local_now = self._database.local_now()
            named = sorted({beat.cell for beat in latest.values()})
            cell_ids = _ids(connection, cells, [{"name": name} for name in named])
            heard: list[dict[str, Any]] = [
                {
                    "name": beat.host,
                    "cell_id": cell_ids[beat.cell],
                    "driver": beat.driver,
                    "forced_down": False,
                    "last_seen": now - max(local_now - beat.seen_at, timedelta()),
                    "rpc_version": beat.rpc_version,
                    "release": beat.release,
                    "site": beat.site or None,
                    "cache_id": beat.cache_id or None,
                }
                for beat in latest.values()
            ]
            host_ids = _ids(connection, hosts, heard)
            # Update by id, because an insert of a known name uses up an id each time. In the order of the ids, so that
            # two conductors do not deadlock.
            rows = sorted(({"id": host_ids[row["name"]], **row} for row in heard), key=itemgetter("id"))
            changing = ["cell_id", "driver", "last_seen", "rpc_version", "release", "site", "cache_id"]
            upsert(connection, hosts, rows, key=["id"], changing=changing)

    def _load(self, connection: Connection, statement: Select[Any]) -> list[Host]:
        """Return the hosts that the statement selects, by the columns of `_HOSTS`."""
        rows = connection.execute(statement).all()
        # Once for all rows, and not in each: to read an instant takes longer than the rest of a row.
        now = connection.execute(select(self._database.now().label("now"))).scalar_one()
        return [_host(row, now) for row in rows]


@contextmanager
def _retry_if_deleted() -> Iterator[None]:
    """Raise TransactionUndone if a host or a cell was deleted after it was read: the next attempt adds it."""
    try:
        yield
    except IntegrityError as exc:
        raise TransactionUndone(_DELETED) from exc


def _host(row: Sequence[Any], now: datetime) -> Host:
    name, cell, driver, forced_down, last_seen, rpc_version, release, site, aggregate_site, cache_id = row
    return Host(
        name=name,
        cell=cell,
        driver=driver,
        forced_down=forced_down,
        last_seen=last_seen,
        rpc_version=rpc_version,
        release=release,
        announced_site=site or "",
        aggregate_site=aggregate_site or "",
        cache_id=cache_id or "",
        silent_for=now - last_seen if last_seen else None,
    )


def _sites_of(connection: Connection, which: ColumnElement[bool]) -> dict[str, str | None]:
    """Return the sites by aggregates of the hosts that the condition selects, by name."""
    return {
        row.name: row.aggregate_site
        for row in connection.execute(select(hosts.c.name, hosts.c.aggregate_site).where(which))
    }


def _ids(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the ids of the rows by name, and insert missing rows. Another process may insert the same ones."""
    by_name = {row["name"]: row for row in sorted(rows, key=itemgetter("name"))}
    found = _known_ids(connection, table, list(by_name))
    missing = [row for name, row in by_name.items() if name not in found]
    if missing:
        upsert(connection, table, missing, key=["name"])
        found |= _known_ids(connection, table, [row["name"] for row in missing])
        if len(found) < len(by_name):
            raise TransactionUndone(_DELETED)
    return found


def _known_ids(connection: Connection, table: Table, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for batch in batches(names):
        for row in connection.execute(select(table.c.name, table.c.id).where(table.c.name.in_(batch))):
            found[row.name] = row.id
    return found


def by_code_point(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """Return the column with a collation that compares and sorts as Python does.

    SQLite does so by default, and so do the tables on MariaDB; PostgreSQL uses the language with which its database was
    created.
    """
    return collate(column, "C") if connection.dialect.name == "postgresql" else column
