"""The conductor's ear on one cell's bus: heartbeats and progress of its hosts."""

from __future__ import annotations

import logging
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.messages import Malformed, read_beats, read_progress
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC, RPC_VERSION
from precache.core.errors import PrecacheError
from precache.ports.clock import Clock
from precache.ports.inventory import HostReports
from precache.ports.progress import ProgressSink

_log = logging.getLogger(__name__)

_THREADS = 4  # what they do is quick, and batched by those whom they call


class ConductorServer(RpcServer):
    """Passes on what the hosts of `cell` say.

    reports, progress: told of each message as it comes; they are to gather what they hear.
    clock: of us who hear it, for the hosts' clocks may differ.
    """

    def __init__(self, *, bus: Bus, cell: str, reports: HostReports, progress: ProgressSink, clock: Clock) -> None:
        endpoint = _Endpoint(cell, reports, progress, clock)
        super().__init__(bus=bus, topic=CONDUCTOR_TOPIC, server=cell, endpoint=endpoint, threads=_THREADS)


class _Endpoint:
    """The methods that oslo.messaging calls, without an answer."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, cell: str, reports: HostReports, progress: ProgressSink, clock: Clock) -> None:
        self._cell = cell
        self._reports = reports
        self._progress = progress
        self._clock = clock

    def heartbeat(self, _context: object, **message: Any) -> None:
        try:
            beats = read_beats(message, self._cell, self._clock.now())
            if beats:
                self._reports.note_beats(beats)
        except Malformed as fault:
            self._drop("heartbeat", fault)
        except PrecacheError as error:
            _log.warning("A heartbeat from cell %s could not be noted: %s", self._cell, error)

    def progress(self, _context: object, **message: Any) -> None:
        try:
            for each in read_progress(message, self._cell):
                self._progress.report(each)
        except Malformed as fault:
            self._drop("progress", fault)

    def _drop(self, what: str, fault: Malformed) -> None:
        _log.warning("A message with %s from cell %s was dropped: %s", what, self._cell, fault)
