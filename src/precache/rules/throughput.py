"""Decides whether a transfer is too slow to wait for: the cache entry's lock is held meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class MinThroughput:
    """The lowest rate of a transfer. bytes_per_s: 0 for any. window: over which the rate is averaged."""

    bytes_per_s: int = 64 << 10
    window: timedelta = timedelta(seconds=60)


class ThroughputMonitor:
    """Measures one window after another. Add only time in which the sender could have sent."""

    def __init__(self, least: MinThroughput) -> None:
        self.least = least
        self._seconds = 0.0
        self._bytes = 0
        self._slow_window_bytes: int | None = None
        self.slow_windows = 0
        """How many windows in a row were too slow."""

    def add(self, seconds: float, count: int) -> None:
        """Add the bytes of this time, and judge the window if it has ended."""
        self.wait(seconds)
        self._bytes += count
        if not self.least.bytes_per_s or self._seconds < self.least.window.total_seconds():
            return
        took, came = self._seconds, self._bytes
        self._seconds, self._bytes = 0.0, 0
        is_slow = came < self.least.bytes_per_s * took
        self.slow_windows = self.slow_windows + 1 if is_slow else 0
        self._slow_window_bytes = came if is_slow else None

    def take_slow_window(self) -> int | None:
        """Return the bytes of the last window if it was too slow, once for each window; otherwise None."""
        came, self._slow_window_bytes = self._slow_window_bytes, None
        return came

    def wait(self, seconds: float) -> None:
        """Add time in which nothing was read; it counts for the next read."""
        self._seconds += seconds
