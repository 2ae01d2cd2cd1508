"""The rate limits of running jobs, as they are now."""

from __future__ import annotations

import threading
from collections import OrderedDict

from precache.compute.steering_mark import SteeringMark
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest, Rates

CAPACITY = 1_000
"""The most jobs whose limits were changed while they ran; the oldest are removed."""


class JobRates:
    """Keeps the latest change of each job. Thread-safe."""

    def __init__(self) -> None:
        self._changes: OrderedDict[str, tuple[SteeringMark, Rates]] = OrderedDict()
        self._lock = threading.Lock()

    def change(self, job_id: str, rates: Rates, mark: SteeringMark) -> None:
        """Use these rates for the requests before the mark; images without a rate keep theirs."""
        with self._lock:
            _, earlier = self._changes.pop(job_id, (mark, {}))
            self._changes[job_id] = (mark, {**earlier, **rates})
            while len(self._changes) > CAPACITY:
                self._changes.popitem(last=False)

    def rate_of(self, request: ImagesRequest, order: ImageOrder) -> int | None:
        """Return the limit for this image of the request, in bytes per second; None for no limit."""
        with self._lock:
            mark, rates = self._changes.get(request.job_id, (None, {}))
        own = order.options.rate_limit_bytes_per_s
        return rates.get(order.image, own) if mark is not None and mark.is_after(request) else own
