"""The clock of the machine."""

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The port `Clock` on the machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def uptime(self) -> timedelta:
        return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))

    def sleep(self, duration: timedelta) -> None:
        time.sleep(duration.total_seconds())
