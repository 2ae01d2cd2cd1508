"""The pace of reading an entry that no boot waits for: with a limit on the rate, and stopped within a moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from precache.core.jobs import Phase
from precache.imagecache.verification.content_digest import ReadWatcher
from precache.ports.clock import Clock
from precache.ports.progress import Watcher
from precache.rules.token_bucket import TokenBucket

_REPORT_INTERVAL = timedelta(milliseconds=100)
"""Between two calls of the watcher, which is also the longest sleep in one piece."""


class PacedReading:
    """Reports what was read to a watcher, and sleeps so that the rate is kept. For one thread.

    watch: what it raises ends the read. rate_now: the limit in bytes per second as it is now; 0 to stand still, None
    for no limit. It is of the bytes that are read: holes cost nothing. note_wait: called with the seconds for which the
    limit slept.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        watch: Watcher,
        rate_now: Callable[[], int | None] = lambda: None,
        note_wait: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._clock = clock
        self._watch = watch
        self._rate_now = rate_now
        self._note_wait = note_wait
        self._rate: int | None = None
        self._bucket: TokenBucket | None = None
        self._reported_at: datetime | None = None

    def wait(self) -> None:
        """Report that the work waits. Raises what the watcher raises."""
        self._watch(Phase.WAITING, 0, 0)

    def of(self, size_bytes: int, earlier_bytes: int = 0, check: Callable[[], None] = lambda: None) -> ReadWatcher:
        """Return what follows one read of a file of that size. earlier_bytes: of reads of the same work before.

        check: called with each report; what it raises ends the read.
        """
        counted_bytes = 0

        def report(hashed_bytes: int) -> None:
            self._reported_at = self._clock.now()
            check()
            self._watch(Phase.VERIFYING, earlier_bytes + hashed_bytes, earlier_bytes + size_bytes)

        def follow(hashed_bytes: int, read_bytes: int) -> None:
            nonlocal counted_bytes
            wait = self._wait_after(read_bytes - counted_bytes)
            counted_bytes = read_bytes
            if hashed_bytes == size_bytes or self._is_report_due():
                report(hashed_bytes)
            while (rate := self._rate_now()) == 0 or (wait > timedelta() and rate == self._rate):
                nap = min(wait, _REPORT_INTERVAL) if rate else _REPORT_INTERVAL
                self._clock.sleep(nap)
                self._note_wait(nap.total_seconds())
                wait -= nap
                report(hashed_bytes)

        report(0)
        return follow

    def _is_report_due(self) -> bool:
        # A clock that was set back must not silence the reports.
        return self._reported_at is None or not (
            timedelta() <= self._clock.now() - self._reported_at < _REPORT_INTERVAL
        )

    def _wait_after(self, count: int) -> timedelta:
        now_s = self._clock.now().timestamp()
        rate = self._rate_now()
        if rate != self._rate:
            self._rate = rate
            self._bucket = None if not rate else TokenBucket(bytes_per_s=rate, now_s=now_s)
        return timedelta(seconds=0 if self._bucket is None else self._bucket.take(count, now_s))
