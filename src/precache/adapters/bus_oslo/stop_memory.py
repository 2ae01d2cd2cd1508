"""The conductor's memory of the jobs that it has cancelled or paused on a host, for requests that are sent again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from precache.core.errors import ComputeOutdated
from precache.ports.compute_gateway import CallNumber, ImagesRequest

_CAPACITY = 100_000
"""The most cancels, and the most pauses: more than the hosts that can be called at once."""


@dataclass(frozen=True, slots=True)
class JobOnHost:
    job_id: str
    host: str
    retry_count: int


class StopMemory:
    """Marks the requests of stopped jobs. Thread-safe. The oldest entries are removed."""

    def __init__(self) -> None:
        self._cancelled: OrderedDict[JobOnHost, None] = OrderedDict()
        self._paused: OrderedDict[JobOnHost, CallNumber] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def cancelling(self, job: JobOnHost) -> Iterator[None]:
        """Note the cancel, unless the block raises ComputeOutdated: such a host does not know the mark, either."""
        with self._lock:
            self._cancelled[job] = None
            _remove_oldest(self._cancelled)
        try:
            yield
        except ComputeOutdated:
            with self._lock:
                self._cancelled.pop(job, None)
            raise

    @contextmanager
    def pausing(self, job: JobOnHost, call: CallNumber) -> Iterator[None]:
        """Note the pause, as `cancelling` does. call: the pause; it applies to requests that precede it."""
        with self._lock:
            self._paused[job] = call
            _remove_oldest(self._paused)
        try:
            yield
        except ComputeOutdated:
            with self._lock:
                self._paused.pop(job, None)
            raise

    def marked(self, request: ImagesRequest) -> ImagesRequest:
        """Return the request with `is_cancelled` and `is_paused` as they are now."""
        job = JobOnHost(request.job_id, request.host, request.retry_count)
        with self._lock:
            is_cancelled, paused = job in self._cancelled, self._paused.get(job)
        is_paused = paused is not None and request.call is not None and request.call.precedes(paused)
        if not is_cancelled and not is_paused:
            return request
        return replace(
            request,
            is_cancelled=request.is_cancelled or is_cancelled,
            is_paused=request.is_paused or is_paused,
        )


def _remove_oldest(kept: OrderedDict[JobOnHost, None] | OrderedDict[JobOnHost, CallNumber]) -> None:
    while len(kept) > _CAPACITY:
        kept.popitem(last=False)
