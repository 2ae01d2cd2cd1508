"""Gathers the heartbeats of hosts on a bus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from precache.background.batcher import Batcher
from precache.core.hosts import Heartbeat
from precache.ports.inventory import HostReports


class GatherBeats:
    """The port `HostReports` before another one: passes on the latest beat of each host and cell every `interval`."""

    def __init__(self, *, reports: HostReports, interval: timedelta) -> None:
        self._batcher = Batcher[Heartbeat](
            write=reports.note_beats,
            key=lambda beat: (beat.host, beat.cell),
            source=lambda beat: beat.cell,
            interval=interval,
            what="heartbeats",
        )
        self.start = self._batcher.start
        self.stop = self._batcher.stop
        self.flush = self._batcher.flush

    def lossless_for_s(self, cell: str) -> float:
        """Return for how many seconds, until now, whatever was heard from the cell has been noted."""
        return self._batcher.lossless_for_s(cell)

    def note_beats(self, beats: Sequence[Heartbeat]) -> None:
        for beat in beats:
            self._batcher.add(beat)
