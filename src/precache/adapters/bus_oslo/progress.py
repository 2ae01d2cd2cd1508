"""A compute's progress, over its cell's bus."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.guarded import guarded
from precache.adapters.bus_oslo.messages import progress_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC
from precache.core.errors import BusUnavailable
from precache.core.images import ImageId
from precache.core.jobs import TaskProgress

INTERVAL = timedelta(seconds=1)


class BusProgress:
    """The port `ProgressSink`: keeps the latest word on each task, and sends all of them about every second.

    What cannot be sent is dropped, for the next word is newer anyway.
    """

    def __init__(self, *, bus: Bus, interval: timedelta = INTERVAL) -> None:
        self._bus = bus
        self._interval_s = interval.total_seconds()
        self._latest: dict[tuple[str, str, ImageId], TaskProgress] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._sender = threading.Thread(target=self._send_until_stopped, name="progress", daemon=True)

    def start(self) -> None:
        self._sender.start()

    def stop(self, patience: timedelta) -> None:
        self._stopping.set()
        if self._sender.is_alive():
            self._sender.join(patience.total_seconds())

    def report(self, progress: TaskProgress) -> None:
        with self._lock:
            self._latest[progress.job_id, progress.host, progress.image] = progress

    def _send_until_stopped(self) -> None:
        while not self._stopping.wait(self._interval_s):
            guarded(self._send, stopping=self._stopping, what="Telling the conductors of progress")
        self._send()

    def _send(self) -> None:
        with self._lock:
            batch, self._latest = list(self._latest.values()), {}
        if batch:
            with suppress(BusUnavailable):
                self._bus.cast(CONDUCTOR_TOPIC, "progress", progress_message(batch))
