"""A time limit for work, independent of changes of the system's clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock


class Deadline:
    """A deadline `allowed` from now; it may be postponed while the work runs. Thread-safe.

    allowed: None for no limit. monotonic: a clock in seconds that never goes back.
    """

    def __init__(self, allowed: timedelta | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at_s = math.inf if allowed is None else monotonic() + allowed.total_seconds()
        self._lock = Lock()

    @property
    def has_passed(self) -> bool:
        return self._monotonic() >= self._at_s

    @property
    def left_s(self) -> float:
        """Return the remaining seconds; negative after the deadline, infinite without a limit."""
        return self._at_s - self._monotonic()

    def postpone_to(self, other: Deadline) -> None:
        """Use the later of the two deadlines. Both must use the same clock."""
        with self._lock:
            self._at_s = max(self._at_s, other._at_s)
