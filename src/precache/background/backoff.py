"""Schedules of retries, and the retry loop."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from precache.background.observer import observed
from precache.core.errors import PrecacheError, Unavailable

_log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_STEPS = 64  # keeps the power small; the longest wait is reached much earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A schedule of retries.

    first, factor, longest: the first wait, the factor by which the next ones grow, and the longest wait.
    attempts: the most calls, the first one included; None for no limit.
    jitter: the largest share by which a wait is shortened at random, so that two callers do not collide again.
    """

    first: timedelta
    factor: float = 2.0
    longest: timedelta
    attempts: int | None = None
    jitter: float = 0.0

    def wait_after(self, failures: int) -> timedelta | None:
        """Return the wait after this number of failures in a row, at least 1; None if there are no attempts left."""
        if self.attempts is not None and failures >= self.attempts:
            return None
        growth = self.factor ** min(failures - 1, _MOST_STEPS)
        wait_s = min(self.first.total_seconds() * growth, self.longest.total_seconds())
        return timedelta(seconds=wait_s * (1 - self.jitter * random.random()))  # noqa: S311  nothing secret


SERVICE_RESTARTS = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=8))
"""For a service that is down: a restart takes about ten seconds. Nova also waits one second first."""


def every(interval: timedelta) -> Backoff:
    """Return the schedule that retries every `interval`, without end."""
    return Backoff(first=interval, factor=1.0, longest=interval)


def retry_until(
    act: Callable[[], T],
    *,
    what: str,
    of: str = "",
    wait: Callable[[float], object],
    backoff: Backoff = SERVICE_RESTARTS,
    errors: type[Exception] | tuple[type[Exception], ...] = Unavailable,
    gives_up: Callable[[Exception, int, float], bool] = lambda _error, _failures, _pause_s: False,
    on_first_failure: Callable[[], object] = lambda: None,
    level: int = logging.WARNING,
) -> T:
    """Return what `act` returns; while it raises one of `errors`, call it again by `backoff`.

    Raises the last error if the attempts are used up, or `gives_up` or `wait` returns true.
    what, of: the kind of work, as the start of a sentence, and which one, for the log.
    wait: waits for this number of seconds and returns true to stop: `wait` of an event or a cancel token.
    gives_up: gets the error, the number of failures, and the next wait in seconds.
    level: of the log lines for expected failures; a bug is logged with its traceback.
    """
    failures = 0
    while True:
        try:
            with observed(what):
                return act()
        except errors as error:
            failures += 1
            if failures == 1:
                on_first_failure()
            pause = backoff.wait_after(failures)
            if pause is None or wait(0) or gives_up(error, failures, pause.total_seconds()):
                raise
            _log_failure(error, f"{what} {of}".rstrip(), pause, level)
            if wait(pause.total_seconds()):
                raise


def _log_failure(error: Exception, work: str, pause: timedelta, level: int) -> None:
    if isinstance(error, PrecacheError):
        _log.log(level, "%s failed: %s; trying again in %g s", work, error, pause.total_seconds())
    else:
        _log.exception("%s failed unexpectedly; trying again in %g s", work, pause.total_seconds())
