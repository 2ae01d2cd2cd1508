"""Sends hosts their changed assignments, while the conductor answers the host whose report has changed them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from precache.background.daemon_pool import DaemonPool
from precache.background.log_exceptions import log_exceptions
from precache.conductor.report_interval import ReportInterval
from precache.conductor.sign_assignments import SignAssignments
from precache.core.relays import Relay
from precache.ports.compute_gateway import ComputeGateway

_log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""For each cell. A host whose assignment is not sent gets it in the answer to its next report."""


class SendAssignments:
    """Sends them in threads of its own: one cell whose bus is slow does not delay the others. Thread-safe.

    most: assignments that wait for a cell. pool: of as many threads as there are cells to be sent to at the same time.
    """

    def __init__(
        self,
        *,
        gateway: ComputeGateway,
        signing: SignAssignments,
        interval: ReportInterval,
        pool: DaemonPool,
        most: int = MOST_WAITING,
    ) -> None:
        self._gateway, self._signing, self._interval = gateway, signing, interval
        self._pool, self._most = pool, most
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[tuple[str, str], Relay]] = {}

    def add(self, relay: Relay, hosts: Iterable[str]) -> None:
        """Send these hosts of the relay their assignments soon; an earlier one that still waits is not sent."""
        cell = relay.key.cell
        with self._lock:
            is_idle = cell not in self._waiting
            waiting = self._waiting.get(cell, {})
            for host in hosts:
                earlier = waiting.pop((relay.id, host), None)
                if len(waiting) < self._most:
                    # Two threads may come in another order than that of their changes.
                    waiting[relay.id, host] = _newer(relay, earlier, host)
            if not waiting:
                return
            self._waiting[cell] = waiting
        if is_idle:
            self._start(cell)

    def _start(self, cell: str) -> None:
        try:
            self._pool.submit(self._send, cell)
        except RuntimeError as error:  # the system can start no further thread
            _log.warning("Hosts of cell %s are not sent their new assignments, and ask for them: %s", cell, error)
            with self._lock:
                del self._waiting[cell]

    def _send(self, cell: str) -> None:
        while (first := self._next(cell)) is not None:
            relay, host = first
            with log_exceptions(what="Sending an assignment to", of=host, then="it asks for it"):
                assignment = self._signing.of_host(relay, host, self._interval())
                self._gateway.change_relay(host, cell, assignment)

    def _next(self, cell: str) -> tuple[Relay, str] | None:
        with self._lock:
            waiting = self._waiting[cell]
            if not waiting:
                del self._waiting[cell]
                return None
            key = next(iter(waiting))
            return waiting.pop(key), key[1]


def _newer(relay: Relay, earlier: Relay | None, host: str) -> Relay:
    """Return that of the two in which the host has the newer assignment."""
    if earlier is None:
        return relay
    old, new = earlier.member(host), relay.member(host)
    return earlier if old is not None and new is not None and old.version > new.version else relay
