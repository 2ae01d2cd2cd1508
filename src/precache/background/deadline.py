"""A time limit for work, independent of changes of the system's clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock


class Deadline:
    """A deadline `allowed` from now; it may be postponed while the work runs. Thread-safe.

    allowed: None for no limit. monotonic: a clock in seconds that never goes back.
    is_fixed: True to count the time in which the work is held back, too.
    """

    def __init__(
        self, allowed: timedelta | None, monotonic: Callable[[], float] = time.monotonic, *, is_fixed: bool = False
    ) -> None:
        self._monotonic = monotonic
        self._at_s = math.inf if allowed is None else monotonic() + allowed.total_seconds()
        self._is_fixed = is_fixed
        self._holds = 0
        self._held_since_s = 0.0
        self._lock = Lock()

    @property
    def has_passed(self) -> bool:
        return self.left_s <= 0

    @property
    def left_s(self) -> float:
        """Return the remaining seconds; negative after the deadline, infinite without a limit."""
        with self._lock:
            return self._at_s - self._now_s()

    def postpone_to(self, other: Deadline) -> None:
        """Use the later of the two deadlines."""
        left_s = other.left_s
        with self._lock:
            self._at_s = max(self._at_s, self._now_s() + left_s)

    def postpone_by(self, seconds: float) -> None:
        """Do not count these seconds, in which the work was held back."""
        if not self._is_fixed:
            with self._lock:
                self._at_s += seconds

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do not count the time within the block, in which the work is held back."""
        if self._is_fixed:
            yield
            return
        with self._lock:
            if not self._holds:
                self._held_since_s = self._monotonic()
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1
                if not self._holds:
                    self._at_s += self._monotonic() - self._held_since_s

    def _now_s(self) -> float:
        """Return the time on which the deadline's clock stands."""
        return self._held_since_s if self._holds else self._monotonic()
