"""Cells and the transport URLs of their buses, which are stored encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from precache.adapters.inventory_sql.cache_numbers import lock_caches
from precache.adapters.inventory_sql.removal import delete_hosts, hosts_with_heartbeats, lock_hosts, memberships
from precache.adapters.sql import Database, SecretBox
from precache.adapters.sql.repeating import TransactionUndone, idempotent, repeatable
from precache.adapters.sql.tables import cells, hosts
from precache.core.cells import Cell
from precache.core.errors import CellHasHosts, CellHostsInAggregates, CellNameTaken, CellNotFound


class SqlCells:
    """The port `CellQueries`, and the changes of an operator.

    keys: of `SecretBox`. Raises InvalidConfiguration for an invalid key, and if a URL is stored without a key.
    owns_aggregates: see `SqlHostRemoval`.
    """

    def __init__(self, *, database: Database, keys: Sequence[str], owns_aggregates: bool = True) -> None:
        self._database = database
        self._owns_aggregates = owns_aggregates
        self._secrets = SecretBox(keys=keys)

    @repeatable
    def list_cells(self) -> list[Cell]:
        with self._database.read() as connection:
            rows = connection.execute(select(cells.c.name, cells.c.transport_url)).all()
        # Sorted here, because databases differ in how they order letters.
        return sorted((self._cell(row.name, row.transport_url) for row in rows), key=lambda cell: cell.name)

    @repeatable
    def create_cell(self, cell: Cell) -> None:
        """Add the cell; if a heartbeat registered it without a URL, set the URL. Raises CellNameTaken."""
        url = self._encrypt(cell.transport_url)
        with self._database.write() as connection:
            # This locks the row: of two processes that set the URL at once, the second finds the URL of the first.
            is_bare = (cells.c.name == cell.name) & cells.c.transport_url.is_(None)
            if url is not None and connection.execute(update(cells).where(is_bare).values(transport_url=url)).rowcount:
                return
            try:
                connection.execute(insert(cells).values(name=cell.name, transport_url=url))
            except IntegrityError as exc:
                raise CellNameTaken(cell.name) from exc

    @idempotent
    def set_transport_url(self, name: str, transport_url: str) -> None:
        """Store the URL of the cell's bus. Raises CellNotFound."""
        url = self._encrypt(transport_url)
        with self._database.write() as connection:
            number = _find(connection, name)
            connection.execute(update(cells).where(cells.c.id == number).values(transport_url=url))

    @repeatable
    def delete_cell(self, name: str, silent_for: timedelta) -> int:
        """Delete the cell and its hosts, or neither; return the number of hosts. Heartbeats register both again.

        Raises CellNotFound; CellHasHosts if the last heartbeat of a host is not older than `silent_for` by the store's
        clock; CellHostsInAggregates if one is in a stored aggregate.
        """
        with self._database.write() as connection:
            lock_caches(connection)
            number = _find(connection, name)
            is_meant = hosts.c.cell_id == number
            found = lock_hosts(connection, is_meant, self._database.now(-silent_for))
            if heard := hosts_with_heartbeats(found):
                raise CellHasHosts(name, [host.name for host in heard])
            if self._owns_aggregates and (members := memberships(connection, is_meant)):
                raise CellHostsInAggregates(name, members.hosts, members.aggregates)
            delete_hosts(connection, is_meant)
            try:
                connection.execute(delete(cells).where(cells.c.id == number))
            except IntegrityError as exc:
                raise TransactionUndone(f"a host of cell {name} has just sent a heartbeat") from exc
            return len(found)

    def _encrypt(self, transport_url: str | None) -> str | None:
        return None if transport_url is None else self._secrets.encrypt(transport_url)

    def _cell(self, name: str, encrypted: str | None) -> Cell:
        if encrypted is None:
            return Cell(name=name)
        return Cell(name=name, transport_url=self._secrets.decrypt(encrypted, f"The transport URL of cell {name}"))


def _find(connection: Connection, name: str) -> int:
    """Lock the row of the cell and return its key. Raises CellNotFound."""
    number: int | None = connection.scalar(select(cells.c.id).where(cells.c.name == name).with_for_update())
    if number is None:
        raise CellNotFound(name)
    return number
