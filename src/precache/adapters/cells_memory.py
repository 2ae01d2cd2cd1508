"""Cells in memory, for tests and for a service without a database."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Protocol

from precache.core.cells import Cell
from precache.core.errors import CellNameTaken, CellNotFound


class CellHosts(Protocol):
    """The part of the store of hosts that concerns cells. A host's first heartbeat adds its cell, without a URL."""

    def cells_with_heartbeats(self) -> set[str]: ...

    def delete_cell_hosts(self, cell: str, silent_for: timedelta) -> int: ...


class MemoryCells:
    """The ports `CellQueries` and `CellChanges`; thread-safe."""

    def __init__(self, *, hosts: CellHosts) -> None:
        self._hosts = hosts
        self._lock = threading.Lock()
        self._urls: dict[str, str | None] = {}

    def list_cells(self) -> list[Cell]:
        with self._lock:
            return [Cell(name=name, transport_url=url) for name, url in sorted(self._known().items())]

    def create_cell(self, cell: Cell) -> None:
        with self._lock:
            known = self._known()
            if cell.name in known and (known[cell.name] is not None or cell.transport_url is None):
                raise CellNameTaken(cell.name)
            self._urls[cell.name] = cell.transport_url

    def set_transport_url(self, name: str, transport_url: str) -> None:
        with self._lock:
            self._check(name)
            self._urls[name] = transport_url

    def delete_cell(self, name: str, silent_for: timedelta) -> int:
        with self._lock:
            self._check(name)
            deleted = self._hosts.delete_cell_hosts(name, silent_for)
            self._urls.pop(name, None)
            return deleted

    def _known(self) -> dict[str, str | None]:
        return dict.fromkeys(self._hosts.cells_with_heartbeats()) | self._urls

    def _check(self, name: str) -> None:
        if name not in self._known():
            raise CellNotFound(name)
