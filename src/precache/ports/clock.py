"""Time, as an argument of everything that depends on it."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait. A test's clock returns at once and advances `now`."""
        ...
