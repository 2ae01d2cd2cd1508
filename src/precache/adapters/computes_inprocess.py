"""Calls to computes in the same process, for the embedded service."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from precache.background.deadline import Deadline
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import ComputeUnreachable
from precache.core.relays import Assignment
from precache.ports.compute_gateway import CallNumber, HostCompute, HostResult, ImagesRequest, Rates


class InProcessComputes:
    """The ports `ComputeGateway` and `HostCaches` by direct calls. A host is reachable from `join` until `leave`."""

    def __init__(self, *, allowed: timedelta | None = None) -> None:
        """allowed: the time for all images of a request on one host; None for no limit."""
        self._allowed = allowed
        self._computes: dict[str, HostCompute] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def join(self, host: str, compute: HostCompute) -> None:
        with self._lock:
            self._computes[host] = compute

    def leave(self, host: str) -> None:
        with self._lock:
            self._computes.pop(host, None)

    def next_call(self) -> CallNumber:
        return CallNumber("", next(self._numbers))

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        sent = replace(request, deadline=Deadline(self._allowed), call=request.call or self.next_call())
        return self._compute(request.host).process_images(sent)

    # The host's name is enough in one process.
    def cancel(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:  # noqa: ARG002
        self._compute(host).cancel_job(job_id, retry_count)

    def describe_cache(self, host: str, cell: str, images: Sequence[ImageSize], within: timedelta) -> CacheContents:  # noqa: ARG002  it takes milliseconds
        return self._compute(host).describe_cache(images)

    def clean_cache(self, host: str, cell: str, request: CleanRequest, within: timedelta) -> CleanResult:  # noqa: ARG002  no message is lost
        return self._compute(host).clean_cache(request)

    def pause(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:  # noqa: ARG002
        self._compute(host).pause_job(job_id, retry_count, self.next_call())

    def limit(self, job_id: str, host: str, cell: str, rates: Rates) -> None:  # noqa: ARG002
        self._compute(host).limit_job(job_id, rates, self.next_call())

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:  # noqa: ARG002
        with suppress(ComputeUnreachable):
            self._compute(host).change_relay(assignment)

    def _compute(self, host: str) -> HostCompute:
        with self._lock:
            compute = self._computes.get(host)
        if compute is None:
            raise ComputeUnreachable(host, "no Precache compute runs there; start one and send the request again")
        return compute
