"""An image's stream with a limit on its rate."""

from __future__ import annotations

from datetime import timedelta

from precache.fetch.resume import ResumingStream
from precache.ports.clock import Clock
from precache.rules.token_bucket import TokenBucket

_NAP_S = 0.5
"""The longest sleep in one piece, so that a stop does not wait longer."""

_READS_PER_S = 10
"""The bytes of one second are divided into this many reads; else one read could take the bytes of many seconds."""


class LimitedStream:
    """Reads another stream and waits after each read. Another thread may call `close`, as with that stream."""

    def __init__(self, stream: ResumingStream, *, bytes_per_s: int, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._most_bytes = max(bytes_per_s // _READS_PER_S, 1)
        self._bucket = TokenBucket(bytes_per_s=bytes_per_s, now_s=self._now_s())
        self._closed = False

    def readinto(self, buffer: memoryview) -> int:
        """Read from the other stream, then wait. Raises what the other stream raises."""
        count = self._stream.readinto(buffer[: self._most_bytes])
        wait_s = self._bucket.take(count, self._now_s())
        while wait_s > 0 and not self._closed:
            nap_s = min(wait_s, _NAP_S)
            self._clock.sleep(timedelta(seconds=nap_s))
            wait_s -= nap_s
        return count

    def close(self) -> None:
        self._closed = True
        self._stream.close()

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
