"""Computes that live in this very process: the embedded service's way to its hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from precache.background.deadline import Deadline
from precache.core.errors import ComputeUnreachable
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest

Compute = Callable[[CacheRequest], Sequence[TaskResult]]


class InProcessComputes:
    """The port `ComputeGateway` on plain calls. A host is known from `join` until `leave`."""

    def __init__(self, *, allowed: timedelta | None = None) -> None:
        """allowed: how long a host may take for all images of a request; None for no limit."""
        self._allowed = allowed
        self._computes: dict[str, Compute] = {}
        self._lock = threading.Lock()

    def join(self, host: str, compute: Compute) -> None:
        with self._lock:
            self._computes[host] = compute

    def leave(self, host: str) -> None:
        with self._lock:
            self._computes.pop(host, None)

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        with self._lock:
            compute = self._computes.get(request.host)
        if compute is None:
            raise ComputeUnreachable(
                request.host, "no Precache compute runs there; start one and send the request again"
            )
        return compute(replace(request, deadline=Deadline(self._allowed)))
