"""The rate limits of the downloads of this host, which may change while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from precache.core.images import ImageId
from precache.core.orders import ImageOrder

RateNow = Callable[[], int | None]
"""Returns the limit as it is now, in bytes per second; None for no limit. Called before every read."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limit of one download. note_wait: called with the seconds for which the limit has held it back."""

    rate_now: RateNow
    note_wait: Callable[[float], None] = lambda _seconds: None


NO_LIMIT = RateLimit(lambda: None)


class RateLimits:
    """Tells the downloads which limit they have. Thread-safe."""

    def __init__(self) -> None:
        self._limits: dict[ImageId, RateLimit] = {}
        self._lock = threading.Lock()

    @contextmanager
    def applied(self, image: ImageId, limit: RateLimit) -> Iterator[None]:
        """Apply this limit, in place of that of the order, to the download of the image within the block."""
        with self._lock:
            self._limits[image] = limit
        try:
            yield
        finally:
            with self._lock:
                if self._limits.get(image) is limit:
                    del self._limits[image]

    def of(self, order: ImageOrder) -> RateLimit:
        """Return the limit for the download of this order, which is to begin."""
        with self._lock:
            limit = self._limits.get(order.image)
        return limit or RateLimit(lambda: order.options.rate_limit_bytes_per_s)
