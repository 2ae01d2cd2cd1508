"""Cells and the ways to their buses.

Errors: CellNotFound, CellNameTaken, CellHasHosts, CellHostsInAggregates, StoreUnavailable.

The transport URLs are secrets: whoever stores them encrypts them, and no error or log line holds one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from precache.core.cells import Cell


class CellQueries(Protocol):
    """For the conductor, which is a client of every cell's bus."""

    def list_cells(self) -> list[Cell]:
        """Return all cells by name. Raises SecretUnreadable if a URL was encrypted with a key that we do not have."""
        ...


class CellChanges(Protocol):
    """For the operator."""

    def create_cell(self, cell: Cell) -> None:
        """Add it; a cell that a heartbeat registered without a URL gets its URL. Raises CellNameTaken."""
        ...

    def set_transport_url(self, name: str, transport_url: str) -> None: ...

    def delete_cell(self, name: str, silent_for: timedelta) -> int:
        """Delete the cell and its hosts, or neither; return the number of hosts. A later heartbeat registers both.

        Raises CellHasHosts if the last heartbeat of one of its hosts is not older than `silent_for` by the store's
        clock, CellHostsInAggregates while one is in our aggregates.
        """
        ...
