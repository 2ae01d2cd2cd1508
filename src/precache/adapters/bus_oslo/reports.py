"""Sends a compute's heartbeats and progress over its cell's bus."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.cache_report_messages import report_message
from precache.adapters.bus_oslo.messages import heartbeats_message, progress_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC, RPC_VERSION
from precache.core.cache_entries import CacheReport
from precache.core.errors import BusUnavailable
from precache.core.hosts import Heartbeat
from precache.core.jobs import TaskProgress


class BusReports:
    """The ports `HostReports` and `CacheReports` for a compute, and the sender of progress. The receiver adds the cell
    and the time.

    All drop reports that cannot be sent, and never raise: the bus logs that the broker is down; newer reports follow.
    They take some seconds at most.
    """

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        with suppress(BusUnavailable):
            self._bus.cast(CONDUCTOR_TOPIC, "heartbeat", heartbeats_message(beats, RPC_VERSION))

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        """Send them, each in a heartbeat of its own: an older conductor ignores the field."""
        unsent: set[str] = set()
        for report in reports:
            try:
                message = {"beats": [], "cache_report": report_message(report)}
                self._bus.cast(CONDUCTOR_TOPIC, "heartbeat", message)
            except BusUnavailable:
                unsent.add(report.host)
        return frozenset(unsent)

    def note_progress(self, progress: Sequence[TaskProgress]) -> None:
        with suppress(BusUnavailable):
            self._bus.cast(CONDUCTOR_TOPIC, "progress", progress_message(progress))
