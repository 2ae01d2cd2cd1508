"""The message of the API that wakes the conductors. They also poll, so it may be lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.topics import RPC_VERSION, WAKE_TOPIC
from precache.background.daemon_pool import DaemonPool
from precache.background.log_exceptions import log_exceptions
from precache.core.errors import BusUnavailable

_log = logging.getLogger(__name__)


class BusWake:
    """Call it to wake all conductors: it never blocks and never raises. Calls in quick succession make one message."""

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus
        self._lock = threading.Lock()
        self._is_due = False
        # It starts its thread when needed: a WSGI server may fork after it has loaded the application.
        self._pool = DaemonPool(max_workers=1, name="wake")

    def __call__(self) -> None:
        with self._lock:
            if self._is_due:
                return
            self._is_due = True
        try:
            self._pool.submit(self._send)
        except RuntimeError as error:
            self._is_due = False
            _log.warning("The conductors are not woken, and find the job by themselves: %s", error)

    def _send(self) -> None:
        with self._lock:
            self._is_due = False  # before the message is sent: a call meanwhile causes another one
        with log_exceptions(what="Waking the conductors"), suppress(BusUnavailable):
            self._bus.cast(WAKE_TOPIC, "wake", {}, to_all=True)


class WakeListener(RpcServer):
    """Calls `wake` for each message of the API that there is work."""

    def __init__(self, *, bus: Bus, name: str, wake: Callable[[], None]) -> None:
        super().__init__(bus=bus, topic=WAKE_TOPIC, server=name, endpoint=_WakeEndpoint(wake), threads=1)


class _WakeEndpoint:
    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def wake(self, _context: object, **_message: Any) -> None:
        self._wake()
