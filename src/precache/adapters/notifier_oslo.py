"""Notifications over message buses, where Nova's consumers listen, through oslo.messaging's notifier."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

import precache.adapters.bus_oslo  # noqa: F401  first, for it decides what kind of threads oslo_messaging uses  # isort: skip
import oslo_messaging

from precache.adapters.bus_oslo.bus import CLOSE_WITHIN_S, RETRIES, Bus
from precache.adapters.bus_oslo.causes import cause
from precache.adapters.bus_oslo.daemon_threads import run_within
from precache.ports.notifier import Notification

_log = logging.getLogger(__name__)

DRIVER = "messagingv2"
CAPACITY = 10_000
"""Notifications kept for a broker that is away, some two kilobytes each; what comes on top is dropped."""

_RETRY_S = 2.0
_LIBRARY_LOG = "oslo_messaging.notify.messaging"


class OsloNotifier:
    """The port `Notifier` on every one of `buses`, from `start` until `stop`. Each gets all, in order, or drops some.

    topics, exchange: where they are published. capacity: how many are kept for each bus while its broker is away.
    """

    def __init__(self, *, buses: Sequence[Bus], topics: Sequence[str], exchange: str, capacity: int = CAPACITY) -> None:
        self._outlets = [_Outlet(bus, topics, exchange, capacity) for bus in buses]

    def start(self) -> None:
        for outlet in self._outlets:
            outlet.start()

    def emit(self, notification: Notification) -> None:
        for outlet in self._outlets:
            outlet.put(notification)

    def stop(self, patience: timedelta) -> None:
        """Send what is left, for so long in all."""
        until = time.monotonic() + patience.total_seconds()
        for outlet in self._outlets:
            outlet.ask_to_stop()
        for outlet in self._outlets:
            outlet.wait(max(until - time.monotonic(), 0.0))


class _Outlet:
    """One bus, its queue, and the thread that sends."""

    def __init__(self, bus: Bus, topics: Sequence[str], exchange: str, capacity: int) -> None:
        self._bus = bus
        self._capacity = capacity
        self._waiting: deque[Notification] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send_until_stopped, name=f"notify {bus.place}", daemon=True)
        self._failures = _SwallowedFailures(self._thread)
        self._transport = bus.notifications(exchange)
        self._notifier = oslo_messaging.Notifier(self._transport, driver=DRIVER, topics=list(topics), retry=RETRIES)

    def start(self) -> None:
        library = logging.getLogger(_LIBRARY_LOG)
        library.setLevel(logging.ERROR)
        library.addFilter(self._failures)
        self._thread.start()

    def put(self, notification: Notification) -> None:
        with self._changed:
            if len(self._waiting) < self._capacity:
                self._waiting.append(notification)
                self._changed.notify()
                return
            self._dropped += 1
            is_first = self._dropped == 1
        if is_first:
            _log.warning(
                "Notifications to the message bus %s are dropped: %i wait for it already",
                self._bus.place,
                self._capacity,
            )

    def ask_to_stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        if self._thread.is_alive():
            self._thread.join(seconds)
        if not self._thread.is_alive():
            logging.getLogger(_LIBRARY_LOG).removeFilter(self._failures)
            run_within(CLOSE_WITHIN_S, self._transport.cleanup, "notify-close")
        if self._waiting:
            _log.warning(
                "%i notifications to the message bus %s were not sent any more", len(self._waiting), self._bus.place
            )

    def _send_until_stopped(self) -> None:
        while (notification := self._next()) is not None:
            failure = self._send(notification)
            if failure is None:
                self._bus.state.note_up()
                self._take_off()
                continue
            self._bus.state.note_away(cause(failure))
            if self._stopping.wait(_RETRY_S):
                return  # The broker is away, and nobody waits for it any more.

    def _next(self) -> Notification | None:
        """Give the first in the queue, without taking it off; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            return self._waiting[0] if self._waiting else None

    def _take_off(self) -> None:
        with self._changed:
            self._waiting.popleft()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("%i notifications to the message bus %s were dropped", dropped, self._bus.place)

    def _send(self, notification: Notification) -> BaseException | None:
        notifier = self._notifier.prepare(publisher_id=notification.publisher_id)
        level = getattr(notifier, notification.priority.lower())
        self._failures.last = None
        level({}, notification.event_type, dict(notification.payload))
        return self._failures.last


class _SwallowedFailures(logging.Filter):
    """Learns why a notification was not sent: the library tells nobody but its log, with the whole payload and a
    traceback, which are kept out of there. Concerns one thread only."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self._thread = thread
        self.last: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.current_thread() is not self._thread:
            return True
        self.last = record.exc_info[1] if record.exc_info else RuntimeError("the library gave no reason")
        return False
