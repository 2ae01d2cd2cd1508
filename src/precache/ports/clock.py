"""Time, as an argument of everything that depends on it."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def uptime(self) -> timedelta:
        """Return how long the machine has run, also while it was suspended. It never jumps."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait. A test's clock returns at once and advances `now`."""
        ...
