"""The buses of all cells in the table of cells: one client and one server for each."""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from oslo_config import cfg

from precache.adapters.bus_oslo.bus import Bus, open_bus
from precache.adapters.bus_oslo.conductor_server import ConductorServer, OnBeat, OnCacheReport, OnProgress
from precache.adapters.bus_oslo.relay_server import RelayServer
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.background.log_exceptions import log_exceptions
from precache.background.periodic_task import PeriodicTask
from precache.background.threads import call_in_thread, start_thread
from precache.core.cells import Cell
from precache.core.errors import BusUnavailable, PrecacheError
from precache.ports.cells import CellQueries
from precache.ports.clock import Clock
from precache.ports.swarm_planner import SwarmPlanner

_log = logging.getLogger(__name__)

FOLLOW_INTERVAL = timedelta(seconds=5)
"""The interval at which the table is checked for changes."""

_LEAVE_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class _Connected:
    fingerprint: bytes  # a digest of the URL, so that a changed password is detected without a second copy of it
    bus: Bus
    servers: tuple[RpcServer, ...]


class CellBuses:
    """Receives reports on every cell's bus and returns the buses for calls to hosts, from `start` until `stop`.

    A cell whose broker is down, or whose URL cannot be used, does not affect the others.
    on_heartbeat, on_progress, on_cache_report, clock: see ConductorServer.
    """

    def __init__(
        self,
        *,
        conf: cfg.ConfigOpts,
        cells: CellQueries,
        on_heartbeat: OnBeat,
        on_progress: OnProgress,
        on_cache_report: OnCacheReport,
        clock: Clock,
        interval: timedelta = FOLLOW_INTERVAL,
    ) -> None:
        self._conf = conf
        self._cells = cells
        self._on_heartbeat = on_heartbeat
        self._on_progress = on_progress
        self._on_cache_report = on_cache_report
        self._clock = clock
        self._planner: SwarmPlanner | None = None
        self._connected: dict[str, _Connected] = {}
        self._complaints: dict[str, str] = {}  # the last reason of each cell, so that it is logged once
        self._lock = threading.Lock()
        self._follower = PeriodicTask(
            action=self._follow, interval=interval, delay=interval, what="The check of the table of cells"
        )

    def start(self, planner: SwarmPlanner | None = None) -> None:
        """Listen to the cells of the table, and follow its changes; do not wait for any broker.

        planner: see RelayServer; None if this conductor answers no hosts of swarms.
        """
        self._planner = planner
        self._follow()
        self._follower.start()

    def stop(self, patience: timedelta) -> None:
        self._follower.stop(patience)
        with self._lock:
            connected, self._connected = self._connected, {}
        leaving = [call_in_thread(partial(_leave, each, patience), name="leave cell") for each in connected.values()]
        for each in leaving:
            each.result()

    def bus_of(self, cell: str) -> Bus:
        """Return the bus of a cell. Raises BusUnavailable if none is known or its URL cannot be used."""
        with self._lock:
            connected = self._connected.get(cell)
            complaint = self._complaints.get(cell) or self._complaints.get("")
        if connected is None:
            reason = complaint or f"no transport URL is known; see: precache cell set {cell} --transport-url"
            raise BusUnavailable(f"of cell {cell}", reason)
        return connected.bus

    def listening_for_s(self, cell: str) -> float:
        """Return for how many seconds, until now, reports from the cell would have been received."""
        with self._lock:
            connected = self._connected.get(cell)
        return connected.bus.state.up_for_s() if connected is not None else 0.0

    def _follow(self) -> None:
        try:
            cells = {cell.name: cell for cell in self._cells.list_cells()}
        except PrecacheError as error:
            self._log_once("", f"The cells cannot be read: {error}")
            return  # and continue with the known ones
        self._complaints.pop("", None)
        for name in [name for name in self._connected if name not in cells or not cells[name].transport_url]:
            _log.info("Cell %s has no message bus any more", name)
            self._disconnect(name)
        for cell in cells.values():
            self._connect(cell)

    def _connect(self, cell: Cell) -> None:
        if not cell.transport_url:
            return
        fingerprint = hashlib.sha256(cell.transport_url.encode()).digest()
        known = self._connected.get(cell.name)
        if known is not None and known.fingerprint == fingerprint:
            return
        try:
            bus = open_bus(self._conf, cell.transport_url)
        except PrecacheError as error:
            self._log_once(cell.name, f"The message bus of cell {cell.name} cannot be used: {error}")
            return
        others = [name for name, each in self._connected.items() if name != cell.name and each.bus.place == bus.place]
        if others:
            # It would be unknown to which of the two cells a message belongs.
            self._log_once(cell.name, f"Cell {cell.name} is on the same message bus {bus.place} as cell {others[0]}")
            bus.close()
            return
        servers = self._servers(bus, cell.name)
        try:
            bus.watch()
            for server in servers:
                server.start()
        except RuntimeError:
            # The system can start no further thread. The next check of the table repeats this.
            bus.close()
            raise
        with self._lock:  # both together, because the cell's hosts may be called at any moment
            self._connected[cell.name] = _Connected(fingerprint, bus, servers)
            self._complaints.pop(cell.name, None)
        _log.info("Cell %s is on the message bus %s", cell.name, bus.place)
        if known is not None:
            _close_in_background(cell.name, known)

    def _servers(self, bus: Bus, cell: str) -> tuple[RpcServer, ...]:
        reports = ConductorServer(
            bus=bus,
            cell=cell,
            on_heartbeat=self._on_heartbeat,
            on_progress=self._on_progress,
            on_cache_report=self._on_cache_report,
            clock=self._clock,
        )
        if self._planner is None:
            return (reports,)
        return reports, RelayServer(bus=bus, cell=cell, planner=self._planner)

    def _disconnect(self, name: str) -> None:
        with self._lock:
            connected = self._connected.pop(name)
        _close_in_background(name, connected)

    def _log_once(self, cell: str, sentence: str) -> None:
        if self._complaints.get(cell) == sentence:
            return
        with self._lock:
            self._complaints[cell] = sentence
        _log.error("%s", sentence)


def _close_in_background(name: str, connected: _Connected) -> None:
    """Close the bus without waiting for its broker. Running calls on it end, and continue on the cell's new bus."""
    start_thread(partial(_leave, connected, _LEAVE_WITHIN), name=f"leave {name}")


def _leave(connected: _Connected, patience: timedelta) -> None:
    what, of = "Leaving the message bus", connected.bus.place
    for stopped in [call_in_thread(partial(each.stop, patience), name="leave cell") for each in connected.servers]:
        with log_exceptions(what=what, of=of):
            stopped.result()
    with log_exceptions(what=what, of=of):
        connected.bus.close()
