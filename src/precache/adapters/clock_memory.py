"""A clock that changes only when it is advanced; for tests and simulations."""

import threading
from datetime import UTC, datetime, timedelta


class MemoryClock:
    """The port `Clock`; `advance` and `sleep` advance it. `jump` changes what it shows, as when it is set."""

    def __init__(self, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._uptime = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def uptime(self) -> timedelta:
        with self._lock:
            return self._uptime

    def sleep(self, duration: timedelta) -> None:
        self.advance(duration)

    def advance(self, duration: timedelta) -> None:
        """Add the duration; a negative one counts as zero."""
        with self._lock:
            self._now += max(duration, timedelta())
            self._uptime += max(duration, timedelta())

    def jump(self, by: timedelta) -> None:
        with self._lock:
            self._now += by
