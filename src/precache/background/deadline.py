"""When work must be done, by a clock that a change of the system's time does not move."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock


class Deadline:
    """Passes after the time allowed, counted from now; may be postponed while the work runs. Thread-safe.

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
        """Return the seconds that are left; negative once it has passed, infinite without a limit."""
        return self._at_s - self._monotonic()

    def postpone_to(self, other: Deadline) -> None:
        """Pass when the later of the two does. Both must use one clock."""
        with self._lock:
            self._at_s = max(self._at_s, other._at_s)
