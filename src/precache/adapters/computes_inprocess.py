"""Calls to computes in the same process, for the embedded service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from precache.background.deadline import Deadline
from precache.core.errors import ComputeUnreachable
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest

CacheImagesCall = Callable[[CacheRequest], Sequence[TaskResult]]
CancelJobCall = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Compute:
    cache_images: CacheImagesCall
    cancel_job: CancelJobCall


class InProcessComputes:
    """The port `ComputeGateway` by direct calls. A host is reachable from `join` until `leave`."""

    def __init__(self, *, allowed: timedelta | None = None) -> None:
        """allowed: the time for all images of a request on one host; None for no limit."""
        self._allowed = allowed
        self._computes: dict[str, _Compute] = {}
        self._lock = threading.Lock()

    def join(self, host: str, cache_images: CacheImagesCall, cancel_job: CancelJobCall) -> None:
        with self._lock:
            self._computes[host] = _Compute(cache_images, cancel_job)

    def leave(self, host: str) -> None:
        with self._lock:
            self._computes.pop(host, None)

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        return self._compute(request.host).cache_images(replace(request, deadline=Deadline(self._allowed)))

    def cancel(self, job_id: str, host: str, cell: str) -> None:  # noqa: ARG002  the name is enough in one process
        self._compute(host).cancel_job(job_id)

    def _compute(self, host: str) -> _Compute:
        with self._lock:
            compute = self._computes.get(host)
        if compute is None:
            raise ComputeUnreachable(host, "no Precache compute runs there; start one and send the request again")
        return compute
