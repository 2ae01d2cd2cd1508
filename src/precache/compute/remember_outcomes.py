"""What a job asks of this host is done once, however often it asks: a message may come twice, an answer get lost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice

from precache.background.deadline import Deadline
from precache.core.errors import Stopped
from precache.core.images import ImageId
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest

CAPACITY = 10_000
"""Outcomes kept, some two hundred bytes each; a job that was asked that long ago has ended."""

_CacheImages = Callable[[CacheRequest], Sequence[TaskResult]]
_Key = tuple[str, ImageId]


@dataclass(frozen=True, slots=True)
class _Run:
    outcome: Future[TaskResult]
    deadline: Deadline


class RememberOutcomes:
    """Wraps the use case `cache_images`, and keeps one outcome for each job and image. Thread-safe.

    A request for what is under way for the same job waits for that, and gives its outcome. The later deadline counts.
    What ended with Stopped, or with a bug, is forgotten.

    cache_images: called with one image at a time, in the order of the request. capacity: outcomes kept; the oldest go.
    """

    def __init__(self, cache_images: _CacheImages, *, capacity: int = CAPACITY) -> None:
        self._cache_images = cache_images
        self._capacity = capacity
        self._outcomes: OrderedDict[_Key, _Run] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, request: CacheRequest) -> list[TaskResult]:
        """Return one result for each image, in the request's order. Raises Stopped if the compute is being stopped."""
        return [self._one(replace(request, orders=(order,))) for order in request.orders]

    def _one(self, request: CacheRequest) -> TaskResult:
        key = (request.job_id, request.images[0])
        with self._lock:
            known = self._outcomes.get(key)
            if known is None:
                ours = _Run(Future(), request.deadline)
                self._outcomes[key] = ours
        if known is None:
            return self._do(key, request, ours.outcome)
        known.deadline.postpone_to(request.deadline)
        return known.outcome.result()

    def _do(self, key: _Key, request: CacheRequest, outcome: Future[TaskResult]) -> TaskResult:
        try:
            (result,) = self._cache_images(request)
        except BaseException as error:
            with self._lock:
                del self._outcomes[key]
            # Callers that joined get the same error; a bug is only for the thread that met it, and its log.
            outcome.set_exception(error if isinstance(error, Exception) else Stopped(f"Caching image {key[1]}"))
            raise
        outcome.set_result(result)
        self._forget_oldest()
        return result

    def _forget_oldest(self) -> None:
        with self._lock:
            surplus = max(len(self._outcomes) - self._capacity, 0)
            ended = (key for key, run in self._outcomes.items() if run.outcome.done())
            for key in list(islice(ended, surplus)):
                del self._outcomes[key]
