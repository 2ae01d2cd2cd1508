"""The rate limits of running jobs, as they are now."""

from __future__ import annotations

import threading
from collections import OrderedDict

from precache.core.orders import CacheOrder
from precache.ports.compute_gateway import CacheRequest, CallNumber, Rates

CAPACITY = 1_000
"""The most jobs whose limits were changed while they ran; the oldest are removed."""


class JobRates:
    """Keeps the latest change of each job. Thread-safe."""

    def __init__(self) -> None:
        self._changes: OrderedDict[str, tuple[CallNumber, Rates]] = OrderedDict()
        self._lock = threading.Lock()

    def change(self, job_id: str, rates: Rates, call: CallNumber) -> None:
        """Use these rates for requests that precede `call`; images without a rate keep theirs."""
        with self._lock:
            _, earlier = self._changes.pop(job_id, (call, {}))
            self._changes[job_id] = (call, {**earlier, **rates})
            while len(self._changes) > CAPACITY:
                self._changes.popitem(last=False)

    def rate_of(self, request: CacheRequest, order: CacheOrder) -> int | None:
        """Return the limit for this image of the request, in bytes per second; None for no limit."""
        with self._lock:
            call, rates = self._changes.get(request.job_id, (None, {}))
        is_changed = call is not None and request.call is not None and request.call.precedes(call)
        own = order.options.rate_limit_bytes_per_s
        return rates.get(order.image, own) if is_changed else own
