"""Cells and the ways to their buses. Errors: CellNotFound, CellNameTaken, CellHasHosts, StoreUnavailable.

The transport URLs are secrets: whoever stores them encrypts them, and no error or log line holds one.
"""

from __future__ import annotations

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

    def delete_cell(self, name: str) -> None:
        """Remove it. Raises CellHasHosts while hosts belong to it."""
        ...
