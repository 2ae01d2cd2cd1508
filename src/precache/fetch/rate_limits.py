"""The rate limits of the downloads of this host, which may change while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from precache.core.images import ImageId
from precache.core.orders import CacheOrder

RateNow = Callable[[], int | None]
"""Returns the limit as it is now, in bytes per second; None for no limit. Called before every read."""


class RateLimits:
    """Tells the downloads which limit they have. Thread-safe."""

    def __init__(self) -> None:
        self._rates: dict[ImageId, RateNow] = {}
        self._lock = threading.Lock()

    @contextmanager
    def applied(self, image: ImageId, rate_now: RateNow) -> Iterator[None]:
        """Apply this limit, in place of that of the order, to the download of the image within the block."""
        with self._lock:
            self._rates[image] = rate_now
        try:
            yield
        finally:
            with self._lock:
                if self._rates.get(image) is rate_now:
                    del self._rates[image]

    def of(self, order: CacheOrder) -> RateNow:
        """Return the limit for the download of this order, which is to begin."""
        with self._lock:
            return self._rates.get(order.image) or (lambda: order.options.rate_limit_bytes_per_s)
