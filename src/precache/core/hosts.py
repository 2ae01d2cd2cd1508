"""Compute hosts and the cells they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Host:
    """A compute host as the inventory knows it.

    cell: name of its cell; None if the host is known but mapped to no cell.
    driver: the virt driver that its compute announced; empty until the first heartbeat.
    last_seen: instant of the last heartbeat (aware UTC); None if there was none yet.
    """

    name: str
    cell: str | None
    driver: str = ""
    forced_down: bool = False
    last_seen: datetime | None = None

    def is_up(self, now: datetime, service_down_time: timedelta) -> bool:
        """Say whether the host may be asked: not forced down, and heard of within `service_down_time`."""
        if self.forced_down or self.last_seen is None:
            return False
        return now - self.last_seen <= service_down_time
