"""The database: whether it answers, has this release's tables, and its secrets can be decrypted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta

from precache.adapters.inventory_sql import SqlCells, SqlHosts
from precache.adapters.sql import Database, check_schema, open_database
from precache.adapters.sql.limits import Limits
from precache.config.load import Config
from precache.core.cells import Cell
from precache.core.errors import DatabaseUrlRefused, SchemaOutdated, SchemaTooNew, StoreUnavailable
from precache.core.hosts import Host
from precache.doctor.findings import Finding, failure, ok, skipped
from precache.wiring.databases import upgrade_command

_LIMITS = Limits(
    connect=timedelta(seconds=3),
    statement=timedelta(seconds=5),
    lock=timedelta(seconds=2),
    patience=timedelta(),
)
"""Short, because a user waits for the result, and a failed check has no other effect."""

Look = Callable[[Config], Iterable[Finding]]


def check_database(config: Config) -> Iterator[Finding]:
    """Check that it answers and has this release's tables."""
    with opened(config) as database:
        try:
            check_schema(database, upgrade_command=upgrade_command(config))
        except (SchemaOutdated, SchemaTooNew, StoreUnavailable) as error:
            yield failure(error)
        else:
            yield ok(f"{database.place} has the tables of this release")


def on_database(look: Look) -> Look:
    """Return a check that is skipped if the database cannot be used; another check reports that."""

    def look_if_there(config: Config) -> Iterator[Finding]:
        try:
            yield from look(config)
        except (StoreUnavailable, DatabaseUrlRefused):
            yield skipped("the database cannot be used")

    return look_if_there


def read_cells(config: Config) -> list[Cell]:
    """Return the cells with their transport URLs. Raises what `CellQueries` and `SecretBox` raise."""
    with opened(config) as database:
        return SqlCells(database=database, keys=config.database.encryption_keys).list_cells()


def read_hosts_with_heartbeats(config: Config) -> list[Host]:
    """Return the hosts that sent heartbeats."""
    with opened(config) as database:
        return SqlHosts(database=database).list_hosts()


def opened(config: Config) -> closing[Database]:
    """Return a context with the database, for a few queries."""
    return closing(open_database(config.database.require_connection(), limits=_LIMITS))
