"""A receiver that stores the reports it gets."""

from __future__ import annotations

from collections.abc import Sequence

from precache.core.hosts import Heartbeat
from precache.core.jobs import TaskProgress


class Hearing:
    """The ports `HostReports` and `ProgressSink`."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.progress: list[TaskProgress] = []

    @property
    def hosts(self) -> list[str]:
        """The host of each heartbeat."""
        return [beat.host for beat in self.beats]

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        self.beats += beats

    def add(self, progress: TaskProgress) -> None:
        self.progress.append(progress)
