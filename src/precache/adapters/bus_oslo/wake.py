"""The API's word to the conductors that there is work. They look by themselves, too, so nothing is lost without it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.guarded import guarded
from precache.adapters.bus_oslo.listening import Listening
from precache.adapters.bus_oslo.topics import RPC_VERSION, WAKE_TOPIC
from precache.core.errors import BusUnavailable

_log = logging.getLogger(__name__)


class BusWake:
    """Call it to wake all conductors: it never blocks and never raises. Calls in quick succession are one message."""

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus
        self._lock = threading.Lock()
        self._is_due = False
        self._is_sending = False

    def __call__(self) -> None:
        with self._lock:
            self._is_due = True
            if self._is_sending:
                return
            self._is_sending = True
        # Started when needed, for a server of WSGI applications may fork after it has loaded us.
        try:
            threading.Thread(target=self._send, name="wake", daemon=True).start()
        except RuntimeError as error:
            with self._lock:
                self._is_sending = False
            _log.warning("The conductors are not woken, and find the job by themselves: %s", error)

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._is_due:
                    self._is_sending = False
                    return
                self._is_due = False
            guarded(self._cast, what="Waking the conductors")

    def _cast(self) -> None:
        with suppress(BusUnavailable):
            self._bus.cast(WAKE_TOPIC, "wake", {}, to_all=True)


class WakeListener(Listening):
    """Calls `wake` whenever the API says that there is work."""

    def __init__(self, *, bus: Bus, name: str, wake: Callable[[], None]) -> None:
        super().__init__(bus=bus, topic=WAKE_TOPIC, server=name, endpoint=_Endpoint(wake), threads=1)


class _Endpoint:
    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def wake(self, _context: object, **_message: Any) -> None:
        self._wake()
