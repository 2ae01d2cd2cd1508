"""A compute's progress, over its cell's bus."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.messages import progress_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC
from precache.background.batcher import Batcher
from precache.core.errors import BusUnavailable
from precache.core.jobs import TaskProgress

INTERVAL = timedelta(seconds=1)


class BusProgress:
    """The port `ProgressSink`: keeps the latest report on each task, and sends all of them about every second.

    What cannot be sent is dropped, for the next report is newer anyway.
    """

    def __init__(self, *, bus: Bus, interval: timedelta = INTERVAL) -> None:
        self._bus = bus
        batcher = Batcher[TaskProgress](
            write=self._send,
            key=lambda progress: (progress.job_id, progress.host, progress.image),
            interval=interval,
            what="progress reports",
        )
        self.start, self.stop, self.report = batcher.start, batcher.stop, batcher.add

    def _send(self, batch: Sequence[TaskProgress]) -> None:
        with suppress(BusUnavailable):
            self._bus.cast(CONDUCTOR_TOPIC, "progress", progress_message(batch))
