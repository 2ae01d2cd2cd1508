"""An image's stream with a limit on its rate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from precache.fetch.rate_limits import RateLimit
from precache.fetch.resume import ResumingStream
from precache.ports.clock import Clock
from precache.rules.token_bucket import TokenBucket

_NAP_S = 0.5
"""The longest sleep in one piece, so that a stop or another limit does not wait longer."""

_READS_PER_S = 10
"""The bytes of one second are divided into this many reads; else one read could take the bytes of many seconds."""


def no_bytes() -> int:
    """Return that all bytes came over the network."""
    return 0


class LimitedStream:
    """Reads another stream and waits after each read. Another thread may call `close`, as with that stream.

    limit: it may change at any time. After a change the rate is counted from then on.
    """

    def __init__(
        self, stream: ResumingStream, *, limit: RateLimit, clock: Clock, free_bytes: Callable[[], int] = no_bytes
    ) -> None:
        """free_bytes: returns how many of the bytes that were read came over no network."""
        self._stream = stream
        self._free_bytes = free_bytes
        self._clock = clock
        self._limit = limit
        self._rate: int | None = None
        self._bucket: TokenBucket | None = None
        self._closed = False

    def readinto(self, buffer: memoryview) -> int:
        """Read from the other stream, then wait. Raises what the other stream raises."""
        self._follow_rate()
        bucket, rate = self._bucket, self._rate
        if bucket is None or rate is None:
            return self._stream.readinto(buffer)
        free = self._free_bytes()
        count = self._stream.readinto(buffer[: max(rate // _READS_PER_S, 1)])
        wait_s = bucket.take(count - (self._free_bytes() - free), self._now_s())
        while wait_s > 0 and not self._closed and self._limit.rate_now() == rate:
            nap_s = min(wait_s, _NAP_S)
            self._clock.sleep(timedelta(seconds=nap_s))
            self._limit.note_wait(nap_s)
            wait_s -= nap_s
        return count

    def close(self) -> None:
        self._closed = True
        self._stream.close()

    def _follow_rate(self) -> None:
        rate = self._limit.rate_now()
        if rate != self._rate:
            self._rate = rate
            self._bucket = None if rate is None else TokenBucket(bytes_per_s=rate, now_s=self._now_s())

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
