"""Cells and the ways to their buses.

Errors: CellNotFound, CellNameTaken, CellHasHosts, CellHostsInAggregates, StoreUnavailable.

The transport URLs are secrets: whoever stores them encrypts them, and no error or log line holds one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from precache.core.cells import Cell


class CellQueries(Protocol):
    """For the conductor, which is a client of every cell's bus."""

    def list_cells(self) -> list[Cell]:
        """Give all cells by name. Raises SecretUnreadable if a URL was encrypted with a key that we do not have."""
        ...


class CellChanges(Protocol):
    """For the operator."""

    def create_cell(self, cell: Cell) -> None:
        """Add it; a cell that a heartbeat registered without a URL gets its URL. Raises CellNameTaken."""
        ...

    def set_transport_url(self, name: str, transport_url: str) -> None: ...

    def delete_cell(self, name: str, silent_since: datetime) -> int:
        """Forget the cell and its hosts, or neither; give the number of hosts. A later beat registers both anew.

        Raises CellHasHosts if a beat of a host of it came at `silent_since` or later, CellHostsInAggregates while one
        is in aggregates of ours.
        """
        ...
