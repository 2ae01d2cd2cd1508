"""Cells and the transport URLs of their buses.

Errors: CellNotFound, CellNameTaken, CellHasHosts, CellHostsInAggregates, StoreUnavailable.

The transport URLs are secrets: the store encrypts them, and no error or log line contains one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from precache.core.cells import Cell


class CellQueries(Protocol):
    """For conductors, which are clients of every cell's bus."""

    def list_cells(self) -> list[Cell]:
        """Return all cells by name. Raises SecretUnreadable if a URL was encrypted with an unknown key."""
        ...


class CellChanges(Protocol):
    """For the operator."""

    def create_cell(self, cell: Cell) -> None:
        """Add the cell; if a heartbeat registered it without a URL, set the URL. Raises CellNameTaken."""
        ...

    def set_transport_url(self, name: str, transport_url: str) -> None: ...

    def delete_cell(self, name: str, silent_for: timedelta) -> int:
        """Delete the cell and its hosts, or neither; return the number of hosts. Heartbeats register both again.

        Raises CellHasHosts if the last heartbeat of a host is not older than `silent_for` by the store's clock,
        CellHostsInAggregates if one is in a stored aggregate.
        """
        ...
