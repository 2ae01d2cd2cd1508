"""Gathers the hosts' progress."""

from __future__ import annotations

from datetime import timedelta

from precache.background.batcher import Batcher
from precache.core.jobs import TaskProgress
from precache.ports.job_store import ProgressLog


class GatherProgress:
    """The port `ProgressSink`: keeps the latest word on each task, and notes all of them every `interval`."""

    def __init__(self, *, store: ProgressLog, interval: timedelta) -> None:
        self._batcher = Batcher[TaskProgress](
            write=store.note,
            key=lambda progress: (progress.job_id, progress.host, progress.image, progress.cell),
            source=lambda progress: progress.cell,
            interval=interval,
            what="reports on the progress of tasks",
        )
        self.start = self._batcher.start
        self.stop = self._batcher.stop
        self.flush = self._batcher.flush

    def report(self, progress: TaskProgress) -> None:
        self._batcher.add(progress)
