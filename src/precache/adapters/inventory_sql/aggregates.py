"""Read aggregates with three statements, whatever the number of aggregates and hosts."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, select

from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import aggregate_hosts, aggregate_metadata, aggregates, hosts
from precache.core.aggregates import Aggregate
from precache.core.errors import AggregateNotFound

LARGEST_ID = 2**31 - 1
"""The largest key. A greater number finds nothing; some databases would raise an error for it."""


class SqlAggregateQueries:
    """The port `AggregateQueries`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def list_aggregates(self) -> list[Aggregate]:
        with self._database.read() as connection:
            return _load(connection, None)

    @repeatable
    def get_aggregate(self, aggregate_id: int) -> Aggregate:
        with self._database.read() as connection:
            return load_aggregate(connection, aggregate_id)


def load_aggregate(connection: Connection, aggregate_id: int) -> Aggregate:
    """Return one aggregate, read in this transaction. Raises AggregateNotFound."""
    found = _load(connection, aggregate_id) if 0 < aggregate_id <= LARGEST_ID else []
    if not found:
        raise AggregateNotFound(aggregate_id)
    return found[0]


def _load(connection: Connection, aggregate_id: int | None) -> list[Aggregate]:
    members = select(aggregate_hosts.c.aggregate_id, hosts.c.name).join_from(aggregate_hosts, hosts)
    members = members.order_by(aggregate_hosts.c.id)
    extras = select(aggregate_metadata).order_by(aggregate_metadata.c.key)
    heads = select(aggregates).order_by(aggregates.c.id)
    if aggregate_id is not None:
        members = members.where(aggregate_hosts.c.aggregate_id == aggregate_id)
        extras = extras.where(aggregate_metadata.c.aggregate_id == aggregate_id)
        heads = heads.where(aggregates.c.id == aggregate_id)
    names: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(members):
        names[row.aggregate_id].append(row.name)
    metadata: dict[int, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(extras):
        metadata[row.aggregate_id][row.key] = row.value
    return [
        Aggregate(
            id=row.id,
            uuid=row.uuid,
            name=row.name,
            created_at=row.created_at,
            updated_at=row.updated_at,
            hosts=tuple(names[row.id]),
            metadata=metadata[row.id],
        )
        for row in connection.execute(heads)
    ]
