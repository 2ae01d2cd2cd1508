"""Holds bytes back so that a rate is kept, which may change at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from precache.fetch.rate_limits import RateNow
from precache.rules.token_bucket import TokenBucket

_LONGEST_NAP_S = 0.25
_READS_PER_S = 10


class Pace:
    """One limit for all threads that use it. After a change the rate is counted from then on."""

    def __init__(self, rate_now: RateNow, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate_now, self._monotonic = rate_now, monotonic
        self._lock = threading.Lock()
        self._rate: int | None = None
        self._bucket: TokenBucket | None = None

    @property
    def is_free(self) -> bool:
        """Return whether there is no limit, so that nothing needs to be counted."""
        return self._bucket is None and self._rate_now() is None

    def most_bytes(self, wanted: int) -> int:
        """Return how many bytes to read at once: without this, one read could take those of many seconds."""
        rate = self._rate_now()
        return wanted if rate is None else max(min(wanted, rate // _READS_PER_S), 1)

    def wait(self, count: int, nap: Callable[[float], object]) -> None:
        """Count these bytes, and wait before the next ones.

        nap: waits so many seconds, at most a quarter; what it raises ends the wait.
        """
        with self._lock:
            rate = self._rate_now()
            if rate != self._rate:
                self._rate = rate
                self._bucket = None if rate is None else TokenBucket(bytes_per_s=rate, now_s=self._monotonic())
            wait_s = self._bucket.take(count, self._monotonic()) if self._bucket is not None else 0.0
        while wait_s > 0 and self._rate_now() == rate:
            nap_s = min(wait_s, _LONGEST_NAP_S)
            nap(nap_s)
            wait_s -= nap_s
