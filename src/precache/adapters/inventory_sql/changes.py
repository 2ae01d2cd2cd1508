"""Change aggregates.

Every change of an aggregate first writes to its row, which locks the row: a second change of the same aggregate waits,
and what the first one has read stays valid until its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from precache.adapters.inventory_sql.aggregates import LARGEST_ID, load_aggregate
from precache.adapters.sql import Database
from precache.adapters.sql.inserts import insert_with_key
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import aggregate_hosts, aggregate_metadata, aggregates, hosts
from precache.core.aggregates import Aggregate
from precache.core.errors import (
    AggregateHasHosts,
    AggregateHostNotFound,
    AggregateHostTaken,
    AggregateMetadataNotFound,
    AggregateNameTaken,
    AggregateNotFound,
    HostNotFound,
)


class SqlAggregateChanges:
    """The port `AggregateChanges`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def create_aggregate(self, name: str, metadata: Mapping[str, str], now: datetime) -> Aggregate:
        with self._database.write() as connection:
            statement = insert(aggregates).values(uuid=str(uuid4()), name=name, created_at=now)
            try:
                aggregate_id = insert_with_key(connection, statement)
            except IntegrityError as exc:
                raise AggregateNameTaken(name) from exc
            _add_metadata(connection, aggregate_id, metadata)
            return load_aggregate(connection, aggregate_id)

    @idempotent
    def rename_aggregate(self, aggregate_id: int, name: str, now: datetime) -> Aggregate:
        with self._database.write() as connection:
            _touch(connection, aggregate_id, now)
            try:
                connection.execute(update(aggregates).where(aggregates.c.id == aggregate_id).values(name=name))
            except IntegrityError as exc:
                raise AggregateNameTaken(name) from exc
            return load_aggregate(connection, aggregate_id)

    @repeatable
    def set_metadata(self, aggregate_id: int, metadata: Mapping[str, str | None], now: datetime) -> Aggregate:
        with self._database.write() as connection:
            _touch(connection, aggregate_id, now)
            for key, value in sorted(metadata.items()):
                removed = connection.execute(delete(aggregate_metadata).where(_is_entry(aggregate_id, key)))
                if value is None and removed.rowcount == 0:
                    raise AggregateMetadataNotFound(aggregate_id, key)
            present = {key: value for key, value in metadata.items() if value is not None}
            _add_metadata(connection, aggregate_id, present)
            return load_aggregate(connection, aggregate_id)

    @repeatable
    def add_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        with self._database.write() as connection:
            _touch(connection, aggregate_id, now)
            membership = {"aggregate_id": aggregate_id, "host_id": _find_host(connection, host)}
            try:
                connection.execute(insert(aggregate_hosts).values(membership))
            except IntegrityError as exc:
                raise AggregateHostTaken(aggregate_id, host) from exc
            return load_aggregate(connection, aggregate_id)

    @repeatable
    def remove_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        with self._database.write() as connection:
            _touch(connection, aggregate_id, now)
            is_member = (aggregate_hosts.c.aggregate_id == aggregate_id) & (
                aggregate_hosts.c.host_id == _find_host(connection, host)
            )
            if connection.execute(delete(aggregate_hosts).where(is_member)).rowcount == 0:
                raise AggregateHostNotFound(aggregate_id, host)
            return load_aggregate(connection, aggregate_id)

    @repeatable
    def delete_aggregate(self, aggregate_id: int) -> None:
        with self._database.write() as connection:
            _lock(connection, aggregate_id)
            members = select(aggregate_hosts.c.id).where(aggregate_hosts.c.aggregate_id == aggregate_id)
            if connection.execute(members.limit(1)).first() is not None:
                raise AggregateHasHosts(aggregate_id)
            connection.execute(delete(aggregate_metadata).where(aggregate_metadata.c.aggregate_id == aggregate_id))
            connection.execute(delete(aggregates).where(aggregates.c.id == aggregate_id))


def _touch(connection: Connection, aggregate_id: int, now: datetime) -> None:
    """Store the time of the change, which also locks the aggregate. Raises AggregateNotFound."""
    _check_range(aggregate_id)
    statement = update(aggregates).where(aggregates.c.id == aggregate_id).values(updated_at=now)
    if connection.execute(statement).rowcount == 0:
        raise AggregateNotFound(aggregate_id)


def _lock(connection: Connection, aggregate_id: int) -> None:
    """Lock the aggregate without a change. Raises AggregateNotFound."""
    _check_range(aggregate_id)
    statement = select(aggregates.c.id).where(aggregates.c.id == aggregate_id).with_for_update()
    if connection.execute(statement).first() is None:
        raise AggregateNotFound(aggregate_id)


def _check_range(aggregate_id: int) -> None:
    if not 0 < aggregate_id <= LARGEST_ID:
        raise AggregateNotFound(aggregate_id)


def _find_host(connection: Connection, name: str) -> int:
    """Return the host's key and lock the host, so that it is not deleted meanwhile. Raises HostNotFound."""
    statement = select(hosts.c.id).where(hosts.c.name == name).with_for_update(read=True, key_share=True)
    host_id: int | None = connection.scalar(statement)
    if host_id is None:
        raise HostNotFound(name)
    return host_id


def _is_entry(aggregate_id: int, key: str) -> ColumnElement[bool]:
    return (aggregate_metadata.c.aggregate_id == aggregate_id) & (aggregate_metadata.c.key == key)


def _add_metadata(connection: Connection, aggregate_id: int, metadata: Mapping[str, str]) -> None:
    rows = [{"aggregate_id": aggregate_id, "key": key, "value": value} for key, value in sorted(metadata.items())]
    if rows:
        connection.execute(insert(aggregate_metadata), rows)
