"""Delete hosts: one by its name, or all hosts of a cell in the transaction that deletes the cell.

The stored caches are locked first, then the rows of the hosts. A heartbeat that arrives meanwhile waits, and then
registers its host again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select

from precache.adapters.inventory_sql.cache_numbers import lock_caches
from precache.adapters.inventory_sql.cache_removal import remove_caches
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import aggregate_hosts, aggregates, hosts
from precache.core.errors import HostInAggregates, HostNotFound, HostStillAlive


class SqlHostRemoval:
    """The port `HostRemoval`.

    owns_aggregates: False if another service has the aggregates; those in this database are then not used.
    """

    def __init__(self, *, database: Database, owns_aggregates: bool = True) -> None:
        self._database = database
        self._owns_aggregates = owns_aggregates

    @repeatable
    def delete_host(self, name: str, silent_for: timedelta) -> None:
        is_meant = hosts.c.name == name
        with self._database.write() as connection:
            lock_caches(connection)
            found = lock_hosts(connection, is_meant, self._database.now(-silent_for))
            if not found:
                raise HostNotFound(name)
            if heard := hosts_with_heartbeats(found):
                raise HostStillAlive(name, heard[0].last_seen)
            if self._owns_aggregates and (members := memberships(connection, is_meant)):
                raise HostInAggregates(name, members.aggregates)
            delete_hosts(connection, is_meant)


@dataclass(frozen=True, slots=True)
class Memberships:
    """The aggregates of each host, by the host's name. False if no host is in an aggregate."""

    hosts: tuple[str, ...]
    aggregates: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.hosts)


def lock_hosts(
    connection: Connection, is_meant: ColumnElement[bool], since: ColumnElement[datetime]
) -> Sequence[Row[Any]]:
    """Lock these hosts; return by name their last heartbeats and the time `since` for comparison."""
    # In the order of the ids, in which heartbeats lock them, too.
    statement = (
        select(hosts.c.name, hosts.c.last_seen, since.label("since"))
        .where(is_meant)
        .order_by(hosts.c.id)
        .with_for_update()
    )
    return sorted(connection.execute(statement), key=lambda host: str(host.name))


def hosts_with_heartbeats(found: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the hosts whose last heartbeat is not older than the time for comparison."""
    return [host for host in found if host.last_seen is not None and host.last_seen >= host.since]


def memberships(connection: Connection, is_meant: ColumnElement[bool]) -> Memberships:
    """Return the stored aggregates of these hosts. A locked host cannot be added to another one meanwhile."""
    pairs = select(hosts.c.name.label("host"), aggregates.c.name.label("aggregate")).where(is_meant)
    rows = connection.execute(pairs.select_from(aggregate_hosts).join(hosts).join(aggregates)).all()
    return Memberships(tuple(sorted({row.host for row in rows})), tuple(sorted({row.aggregate for row in rows})))


def delete_hosts(connection: Connection, is_meant: ColumnElement[bool]) -> None:
    """Delete these hosts, also from all aggregates, and what they reported. The transaction holds `lock_caches`."""
    ids = select(hosts.c.id).where(is_meant)
    remove_caches(connection, ids)
    connection.execute(delete(aggregate_hosts).where(aggregate_hosts.c.host_id.in_(ids)))
    connection.execute(delete(hosts).where(is_meant))
