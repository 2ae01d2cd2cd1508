"""Requests whose work may outlast their call, because the host holds it back.

A call has a time limit, which its caller has set before. The work has a deadline, which is postponed while a rate limit
or another job holds it back. So the work has a thread of its own: near the end of a call the caller is told how much
longer it may take, and calls again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from precache.background.deadline import Deadline
from precache.background.threads import call_in_thread
from precache.ports.compute_gateway import CallNumber, HostResult, ImagesRequest

_RESERVE_SHARE = 0.1
"""The share of the call's time that is left for the answer that the deadline was postponed."""

_LEAST_POSTPONED_S = 0.2
_LOOK_S = 0.5


class HeldBack(Exception):
    """The work goes on, and may take so many more seconds."""

    def __init__(self, left_s: float) -> None:
        self.left_s = left_s


@dataclass(frozen=True, slots=True)
class _Work:
    deadline: Deadline
    results: Future[Sequence[HostResult]]


class LongCalls:
    """Calls `process_images`. A call that is made again joins its work. Thread-safe."""

    def __init__(self, process_images: Callable[[ImagesRequest], Sequence[HostResult]]) -> None:
        self._process_images = process_images
        self._works: dict[CallNumber, _Work] = {}
        self._lock = threading.Lock()

    def results_of(self, request: ImagesRequest) -> Sequence[HostResult]:
        """Return the results. Raises what `process_images` raises; HeldBack in time before the end of the call."""
        ends = request.call_ends
        if ends is None:
            return self._process_images(request)
        reserve_s = ends.left_s * _RESERVE_SHARE
        work = self._work_of(request)
        while not wait([work.results], max(ends.left_s - reserve_s, _LOOK_S)).done:
            left_s = work.deadline.left_s
            if ends.left_s <= reserve_s and left_s > ends.left_s + _LEAST_POSTPONED_S:
                raise HeldBack(left_s)
        return work.results.result()

    def _work_of(self, request: ImagesRequest) -> _Work:
        """Return the running work of this call; begin it if there is none, or if the request is to stop the work."""
        is_stop = request.is_cancelled or request.is_paused
        call = None if is_stop else request.call
        with self._lock:
            work = self._works.get(call) if call else None
            if work is None:
                # Its thread removes the work at its end, and needs the lock for that: not before it is stored.
                work = _Work(request.deadline, self._begin(request, call))
                if call is not None:
                    self._works[call] = work
                return work
        work.deadline.postpone_to(request.deadline)
        return work

    def _begin(self, request: ImagesRequest, call: CallNumber | None) -> Future[Sequence[HostResult]]:
        def run() -> Sequence[HostResult]:
            try:
                return self._process_images(request)
            finally:
                if call is not None:
                    with self._lock:
                        self._works.pop(call, None)

        return call_in_thread(run, name=f"job {request.job_id}")
