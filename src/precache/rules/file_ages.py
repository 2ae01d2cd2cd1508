"""How long the files of a cache were unused, also if the clock of the host jumped meanwhile.

The mtime of a file is its last use by the clock of the host. If that clock jumps forward by a year, each file looks a
year old. So the age of a file grows from pass to pass by the time that has passed by the uptime, which cannot jump. A
file that is new, or was used since the last pass, is no older than that pass. So a jump can delay a removal, and makes
a file older by the time between two passes at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_RESTART = timedelta(hours=1)
"""How much of the time between the last pass before a start of the machine and the first one after it counts at most.
The uptime begins again at a start, so the clock is all there is, and it may be wrong then."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one moment. now: aware. machine_start: any text that is another one after each start."""

    now: datetime
    uptime: timedelta
    machine_start: str

    def since(self, earlier: ClockReading) -> timedelta:
        """Return how much time has passed for sure since that reading."""
        if earlier.machine_start == self.machine_start:
            return max(self.uptime - earlier.uptime, timedelta())
        return min(max(self.now - earlier.now, timedelta()), LONGEST_RESTART)


@dataclass(frozen=True, slots=True)
class FileAge:
    """last_used: the mtime at the last pass. unused_for: at that time; negative for an mtime in the future."""

    last_used: datetime
    unused_for: timedelta


def first_ages(files: Mapping[str, datetime], now: datetime) -> dict[str, FileAge]:
    """Return the ages at the first pass: the clock is trusted. files: the last use of each."""
    return {name: FileAge(last_used, now - last_used) for name, last_used in files.items()}


def ages_after(
    ages: Mapping[str, FileAge], files: Mapping[str, datetime], elapsed: timedelta, now: datetime
) -> dict[str, FileAge]:
    """Return the ages at the next pass. elapsed: since the last one, for sure."""
    after: dict[str, FileAge] = {}
    for name, last_used in files.items():
        known = ages.get(name)
        if known is not None and known.last_used == last_used:
            after[name] = FileAge(last_used, known.unused_for + elapsed)
        else:
            after[name] = FileAge(last_used, min(now - last_used, elapsed))
    return after
