"""The conductor's end of one cell's bus: receives heartbeats and progress of its hosts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.cache_report_messages import read_report
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import read_heartbeats, read_progress
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC, RPC_VERSION
from precache.core.hosts import Heartbeat
from precache.core.jobs import TaskProgress
from precache.ports.cache_inventory import PackedReport
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

OnBeat = Callable[[Heartbeat], object]
OnProgress = Callable[[TaskProgress], object]
OnCacheReport = Callable[[PackedReport], object]

_THREADS = 4  # their work is quick: the functions that they call collect batches


class ConductorServer(RpcServer):
    """Receives the reports of the hosts of `cell`.

    on_heartbeat, on_progress, on_cache_report: called with each report at its arrival; must be quick and not raise.
    clock: of this process, because the hosts' clocks may differ.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        cell: str,
        on_heartbeat: OnBeat,
        on_progress: OnProgress,
        on_cache_report: OnCacheReport,
        clock: Clock,
    ) -> None:
        endpoint = _ConductorEndpoint(cell, on_heartbeat, on_progress, on_cache_report, clock)
        super().__init__(bus=bus, topic=CONDUCTOR_TOPIC, server=cell, endpoint=endpoint, threads=_THREADS)


class _ConductorEndpoint:
    """The methods that oslo.messaging calls, without an answer."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(
        self, cell: str, on_heartbeat: OnBeat, on_progress: OnProgress, on_cache_report: OnCacheReport, clock: Clock
    ) -> None:
        self._cell = cell
        self._on_heartbeat = on_heartbeat
        self._on_progress = on_progress
        self._on_cache_report = on_cache_report
        self._clock = clock

    def heartbeat(self, _context: object, **message: Any) -> None:
        try:
            for beat in read_heartbeats(message, self._cell, self._clock.now()):
                self._on_heartbeat(beat)
            if (report := read_report(message, self._cell)) is not None:
                self._on_cache_report(report)
        except Malformed as fault:
            self._drop("heartbeat", fault)

    def progress(self, _context: object, **message: Any) -> None:
        try:
            for each in read_progress(message, self._cell):
                self._on_progress(each)
        except Malformed as fault:
            self._drop("progress", fault)

    def _drop(self, what: str, fault: Malformed) -> None:
        _log.warning("A message with %s from cell %s was dropped: %s", what, self._cell, fault)
