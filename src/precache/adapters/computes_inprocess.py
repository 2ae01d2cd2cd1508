"""Calls to computes in the same process, for the embedded service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from precache.background.deadline import Deadline
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import ComputeUnreachable
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest
from precache.ports.host_caches import DescribeCacheCall, no_description

CacheImagesCall = Callable[[CacheRequest], Sequence[TaskResult]]
CancelJobCall = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Compute:
    cache_images: CacheImagesCall
    cancel_job: CancelJobCall
    describe_cache: DescribeCacheCall


class InProcessComputes:
    """The ports `ComputeGateway` and `HostCaches` by direct calls. A host is reachable from `join` until `leave`."""

    def __init__(self, *, allowed: timedelta | None = None) -> None:
        """allowed: the time for all images of a request on one host; None for no limit."""
        self._allowed = allowed
        self._computes: dict[str, _Compute] = {}
        self._lock = threading.Lock()

    def join(
        self,
        host: str,
        cache_images: CacheImagesCall,
        cancel_job: CancelJobCall,
        describe_cache: DescribeCacheCall = no_description,
    ) -> None:
        with self._lock:
            self._computes[host] = _Compute(cache_images, cancel_job, describe_cache)

    def leave(self, host: str) -> None:
        with self._lock:
            self._computes.pop(host, None)

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        return self._compute(request.host).cache_images(replace(request, deadline=Deadline(self._allowed)))

    def cancel(self, job_id: str, host: str, cell: str) -> None:  # noqa: ARG002  the name is enough in one process
        self._compute(host).cancel_job(job_id)

    def describe_cache(self, host: str, cell: str, images: Sequence[ImageSize], within: timedelta) -> CacheContents:  # noqa: ARG002  as above; it takes milliseconds
        return self._compute(host).describe_cache(images)

    def _compute(self, host: str) -> _Compute:
        with self._lock:
            compute = self._computes.get(host)
        if compute is None:
            raise ComputeUnreachable(host, "no Precache compute runs there; start one and send the request again")
        return compute
