"""Hosts and cells: look them up, force them down, hear from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.tables import cells, hosts
from precache.core.errors import HostNotFound
from precache.core.hosts import Host

_HOSTS = select(hosts, cells.c.name.label("cell")).join_from(hosts, cells, isouter=True)


class SqlHosts:
    """The ports `HostQueries`, `HostChanges` and `HostReports`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def list_hosts(self) -> list[Host]:
        with self._database.read() as connection:
            found = [_host(row) for row in connection.execute(_HOSTS)]
        # Sorted here, because databases differ in how they order letters.
        return sorted(found, key=lambda host: host.name)

    def find_hosts(self, names: Sequence[str]) -> dict[str, Host]:
        found: dict[str, Host] = {}
        with self._database.read() as connection:
            for batch in batches(list(dict.fromkeys(names))):
                for row in connection.execute(_HOSTS.where(hosts.c.name.in_(batch))):
                    found[row.name] = _host(row)
        return found

    def set_forced_down(self, name: str, forced_down: bool) -> Host:
        with self._database.write() as connection:
            connection.execute(update(hosts).where(hosts.c.name == name).values(forced_down=forced_down))
            row = connection.execute(_HOSTS.where(hosts.c.name == name)).first()
            if row is None:
                raise HostNotFound(name)
            return _host(row)

    def beat(self, name: str, cell: str, driver: str, now: datetime) -> None:
        with self._database.write(is_forgettable=True) as connection:
            heard = {"cell_id": _cell_id(connection, cell), "driver": driver, "last_seen": now}
            known = update(hosts).where(hosts.c.name == name).values(heard)
            if connection.execute(known).rowcount == 0:
                first = insert(hosts).values(name=name, forced_down=False, **heard)
                if not _inserts(connection, first):
                    connection.execute(known)


def _host(row: Row[Any]) -> Host:
    return Host(name=row.name, cell=row.cell, driver=row.driver, forced_down=row.forced_down, last_seen=row.last_seen)


def _cell_id(connection: Connection, name: str) -> Any:
    find = select(cells.c.id).where(cells.c.name == name)
    if connection.scalar(find) is None:
        _inserts(connection, insert(cells).values(name=name))
    return connection.scalar(find)


def _inserts(connection: Connection, statement: Any) -> bool:
    """Insert, or say that another transaction was faster; this one goes on either way."""
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except IntegrityError:
        return False
    return True
