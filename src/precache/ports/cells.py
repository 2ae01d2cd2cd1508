"""Cells and the transport URLs of their buses.

The transport URLs are secrets: the store encrypts them, and no error or log line contains one.
"""

from __future__ import annotations

from typing import Protocol

from precache.core.cells import Cell


class CellQueries(Protocol):
    """For conductors, which are clients of every cell's bus."""

    def list_cells(self) -> list[Cell]:
        """Return all cells by name.

        Raises SecretUnreadable if a URL was encrypted with an unknown key, StoreUnavailable.
        """
        ...
