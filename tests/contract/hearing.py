"""A receiver that stores the reports it gets."""

from __future__ import annotations

from collections.abc import Sequence

from precache.core.cache_entries import CacheReport
from precache.core.hosts import Heartbeat
from precache.core.jobs import TaskProgress
from precache.ports.cache_inventory import PackedReport


class Hearing:
    """The ports `HostReports`, `CacheReports` and `ProgressSink`."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.progress: list[TaskProgress] = []
        self.cache_reports: list[PackedReport] = []  # those that came over a bus
        self.caches: list[CacheReport] = []

    @property
    def hosts(self) -> list[str]:
        """The host of each heartbeat."""
        return [beat.host for beat in self.beats]

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        self.beats += beats

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        self.caches += reports
        return frozenset()

    def add(self, progress: TaskProgress) -> None:
        self.progress.append(progress)
