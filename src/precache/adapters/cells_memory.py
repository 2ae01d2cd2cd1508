"""Cells in memory: for tests, and for a service that may forget."""

from __future__ import annotations

import threading

from precache.core.cells import Cell
from precache.core.errors import CellHasHosts, CellNameTaken, CellNotFound
from precache.ports.inventory import HostQueries


class MemoryCells:
    """The ports `CellQueries` and `CellChanges`, safe for many threads.

    hosts: whoever knows which hosts there are; the cell of a host that was heard from exists, at first without a URL.
    """

    def __init__(self, *, hosts: HostQueries) -> None:
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

    def delete_cell(self, name: str) -> None:
        with self._lock:
            self._check(name)
            if name in self._inhabited():
                raise CellHasHosts(name)
            del self._urls[name]

    def _known(self) -> dict[str, str | None]:
        return dict.fromkeys(self._inhabited()) | self._urls

    def _check(self, name: str) -> None:
        if name not in self._known():
            raise CellNotFound(name)

    def _inhabited(self) -> set[str]:
        return {host.cell for host in self._hosts.list_hosts() if host.cell is not None}
