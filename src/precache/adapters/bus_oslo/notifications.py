"""Sends notifications over message buses to consumers of Nova's notifications, with oslo.messaging's notifier."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import oslo_messaging
from oslo_config import cfg

from precache.adapters.bus_oslo.bus import CLOSE_WITHIN_S, CLOSING, RETRIES
from precache.adapters.bus_oslo.bus_state import BusState
from precache.adapters.bus_oslo.causes import cause
from precache.adapters.bus_oslo.library_log import silence_libraries
from precache.adapters.bus_oslo.tls import check_names_by_default, check_tls, uses_tls
from precache.adapters.bus_oslo.url import parse_url, redacted
from precache.background.backoff import every, retry_until
from precache.background.threads import run_within, start_thread
from precache.core.errors import BusUnavailable, InvalidConfiguration
from precache.ports.notifier import Notification

_log = logging.getLogger(__name__)

DRIVER = "messagingv2"
CAPACITY = 10_000
"""The most notifications that are kept while the broker is down, about two kilobytes each; further ones are dropped."""

_RETRIES = every(timedelta(seconds=2))
_LIBRARY_LOG = "oslo_messaging.notify.messaging"


class OsloNotifier:
    """The port `Notifier` on the bus of every URL, from `start` until `stop`. Each bus gets all of them in order; some
    are dropped if its broker is down for long.

    conf: the operator's, for the sections [oslo_messaging_*]. topics, exchange: where they are published. capacity:
    how many are kept for each bus while its broker is down. Nothing is sent before `start`. Raises
    InvalidConfiguration, without any secret, if a URL or those sections are not valid.
    """

    def __init__(
        self,
        *,
        conf: cfg.ConfigOpts,
        transport_urls: Sequence[str],
        topics: Sequence[str],
        exchange: str,
        capacity: int = CAPACITY,
    ) -> None:
        silence_libraries()
        buses = [_NotificationBus(conf, url, topics, exchange) for url in transport_urls]
        self._senders = [_BusSender(bus, capacity) for bus in buses]

    def start(self) -> None:
        for sender in self._senders:
            sender.start()

    def emit(self, notification: Notification) -> None:
        for sender in self._senders:
            sender.put(notification)

    def wait_until_sent(self, patience: timedelta) -> bool:
        until = time.monotonic() + patience.total_seconds()
        # Each sender is asked, so that what it dropped is not reported a second time.
        sent = [sender.wait_until_sent(max(until - time.monotonic(), 0.0)) for sender in self._senders]
        return all(sent)

    def stop(self, patience: timedelta) -> None:
        """Send the remaining notifications, for at most that long."""
        until = time.monotonic() + patience.total_seconds()
        for sender in self._senders:
            sender.ask_to_stop()
        for sender in self._senders:
            sender.wait(max(until - time.monotonic(), 0.0))


class _NotificationBus:
    """One bus for notifications, with the operator's options only: its queues are Nova's."""

    def __init__(self, conf: cfg.ConfigOpts, transport_url: str, topics: Sequence[str], exchange: str) -> None:
        url = parse_url(conf, transport_url)
        place = redacted(url)
        check_tls(conf, url, place)
        check_names_by_default(conf, url)
        self.place = place
        self.state = BusState(place=place, uses_tls=uses_tls(conf, url))
        try:
            self.transport = oslo_messaging.get_notification_transport(_WithExchange(exchange, conf), url=url)
            self.notifier = oslo_messaging.Notifier(self.transport, driver=DRIVER, topics=list(topics), retry=RETRIES)
        except (oslo_messaging.MessagingException, RuntimeError, cfg.Error) as error:
            raise InvalidConfiguration(f"the message bus {place} cannot be used: {cause(error)}") from None


class _WithExchange:
    """The operator's configuration with another `control_exchange`. The library's notifier reads it only there, and the
    configuration is shared."""

    def __init__(self, exchange: str, conf: cfg.ConfigOpts) -> None:
        self.control_exchange = exchange
        self._conf = conf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conf, name)

    def __getitem__(self, name: str) -> Any:
        return self._conf[name]


class _BusSender:
    """One bus, its queue, and the thread that sends."""

    def __init__(self, bus: _NotificationBus, capacity: int) -> None:
        self._bus = bus
        self._capacity = capacity
        self._waiting: deque[Notification] = deque()
        self._dropped = 0
        self._has_dropped = False
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = _FailureFilter()

    def start(self) -> None:
        library = logging.getLogger(_LIBRARY_LOG)
        library.setLevel(logging.ERROR)
        library.addFilter(self._failures)
        self._thread = start_thread(self._send_until_stopped, name=f"notify {self._bus.place}")

    def put(self, notification: Notification) -> None:
        with self._changed:
            if len(self._waiting) < self._capacity:
                self._waiting.append(notification)
                self._changed.notify_all()
                return
            self._dropped += 1
            self._has_dropped = True
            is_first = self._dropped == 1
        if is_first:
            _log.warning(
                "Notifications to the message bus %s are dropped: %i wait for it already",
                self._bus.place,
                self._capacity,
            )

    def wait_until_sent(self, seconds: float) -> bool:
        with self._changed:
            is_empty = self._changed.wait_for(lambda: not self._waiting or self._stopping.is_set(), seconds)
            has_dropped, self._has_dropped = self._has_dropped, False
            return is_empty and not self._waiting and not has_dropped

    def ask_to_stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)
        if self._thread is None or not self._thread.is_alive():
            logging.getLogger(_LIBRARY_LOG).removeFilter(self._failures)
            cleanup, place = self._bus.transport.cleanup, self._bus.place
            run_within(CLOSE_WITHIN_S, cleanup, name="notify-close", what=CLOSING, of=place)
        if self._waiting:
            _log.warning(
                "%i notifications to the message bus %s were not sent any more", len(self._waiting), self._bus.place
            )

    def _send_until_stopped(self) -> None:
        self._failures.thread = threading.current_thread()
        with suppress(BusUnavailable):  # at a stop while the broker is down
            while (notification := self._next()) is not None:
                retry_until(
                    partial(self._send, notification),
                    what="Sending a notification to the message bus",
                    of=self._bus.place,
                    wait=self._stopping.wait,
                    backoff=_RETRIES,
                    level=logging.DEBUG,  # the state has logged it
                )
                self._bus.state.note_up()
                self._remove_first()

    def _next(self) -> Notification | None:
        """Return the first notification of the queue without removing it; None at a stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            return self._waiting[0] if self._waiting else None

    def _remove_first(self) -> None:
        with self._changed:
            self._waiting.popleft()
            if not self._waiting:
                self._changed.notify_all()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("%i notifications to the message bus %s were dropped", dropped, self._bus.place)

    def _send(self, notification: Notification) -> None:
        """Send one notification. Raises BusUnavailable."""
        notifier = self._bus.notifier.prepare(publisher_id=notification.publisher_id)
        level = getattr(notifier, notification.priority.lower())
        self._failures.last = None
        level({}, notification.event_type, dict(notification.payload))
        if self._failures.last is not None:
            raise BusUnavailable(self._bus.place, self._bus.state.note_failure(self._failures.last))


class _FailureFilter(logging.Filter):
    """Stores the failure to send a notification, which the library only logs, and drops the log line, which has the
    whole payload and a traceback. For one thread only."""

    def __init__(self) -> None:
        super().__init__()
        self.thread: threading.Thread | None = None
        self.last: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.current_thread() is not self.thread:
            return True
        self.last = record.exc_info[1] if record.exc_info else RuntimeError("the library gave no reason")
        return False
