"""A compute's heartbeats, over its cell's bus."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.messages import beats_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC, RPC_VERSION
from precache.core.errors import BusUnavailable
from precache.core.hosts import Heartbeat


class BusReports:
    """The port `HostReports` for a compute: the receiver knows the cell and the time.

    Never raises: while the broker is away, of which the bus tells the log, a host is down anyway, and the next beat is
    soon due.
    """

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus

    def note_beats(self, beats: Sequence[Heartbeat]) -> None:
        with suppress(BusUnavailable):
            self._bus.cast(CONDUCTOR_TOPIC, "heartbeat", beats_message(beats, RPC_VERSION))
