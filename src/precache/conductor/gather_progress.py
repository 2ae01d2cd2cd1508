"""Gathers the hosts' progress."""

from __future__ import annotations

from datetime import timedelta

from precache.conductor.gathering import Gathering
from precache.core.jobs import TaskProgress
from precache.ports.job_store import ProgressLog


class GatherProgress:
    """The port `ProgressSink`: keeps the latest word on each task, and notes all of them every `interval`."""

    def __init__(self, *, store: ProgressLog, interval: timedelta) -> None:
        self._gathering = Gathering[TaskProgress](
            write=store.note,
            subject=lambda progress: (progress.job_id, progress.host, progress.image, progress.cell),
            cell=lambda progress: progress.cell,
            interval=interval,
            what="words on the progress of tasks",
        )
        self.start = self._gathering.start
        self.stop = self._gathering.stop
        self.flush = self._gathering.flush

    def report(self, progress: TaskProgress) -> None:
        self._gathering.add(progress)
