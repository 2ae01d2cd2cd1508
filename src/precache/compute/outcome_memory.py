"""The host's memory of the jobs that it has worked for.

A request may arrive twice, and an answer may be lost. So each image of a job is cached once, and its outcome is kept. A
cancel or a pause may arrive before the request to which it belongs. So the ids of stopped jobs are kept, too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.steering_mark import SteeringMark
from precache.core.errors import Stopped
from precache.core.images import ImageId
from precache.core.jobs import TaskPaused
from precache.core.stopping import StopReason
from precache.ports.compute_gateway import HostResult, ImagesRequest

CAPACITY = 10_000
"""The most outcomes, and the most ids of stopped jobs. An outcome takes about two hundred bytes; its job has ended
long before it is removed."""

_FOLLOW_S = 1.0

_Job = tuple[str, int]
"""The id of a job, and its retry count: what is kept of a job does not apply to a retry of it."""

_Key = tuple[_Job, ImageId]


@dataclass(frozen=True, slots=True)
class _RunningImage:
    """The running work for one image of a job. stop: ends it."""

    stop: CancelToken
    deadline: Deadline
    outcome: Future[HostResult] = field(default_factory=Future)


class OutcomeMemory:
    """Keeps one outcome for each job and image. Thread-safe.

    stop: cancelled when the compute is being stopped. capacity: outcomes kept; the oldest are removed.
    """

    def __init__(self, *, stop: CancelToken, capacity: int = CAPACITY) -> None:
        self._stop = stop
        self._capacity = capacity
        self._running: dict[_Key, _RunningImage] = {}
        self._outcomes: OrderedDict[_Key, HostResult] = OrderedDict()
        self._cancelled: OrderedDict[_Job, None] = OrderedDict()
        self._paused: OrderedDict[_Job, SteeringMark] = OrderedDict()
        self._lock = threading.Lock()

    def outcome_of(
        self, request: ImagesRequest, image: ImageId, run: Callable[[CancelToken], HostResult]
    ) -> HostResult:
        """Return the stored outcome; else wait for the running work for this job and image; else call `run` and store
        its outcome, unless the image is to be tried again: it was paused, or failed for a reason that may pass.

        The latest deadline of all requests that wait applies to the work.
        run: gets the token that ends it; the token is already cancelled if the job is cancelled or paused. What `run`
        raises is raised to all waiting callers, and nothing is stored.
        """
        key = (_job_of(request), image)
        while True:
            with self._lock:
                kept = self._outcomes.get(key)
                joined = self._running.get(key)
                if kept is None and joined is None:
                    started = self._running[key] = _RunningImage(self._stop_for(request), request.deadline)
            if kept is not None:
                return kept
            if joined is None:
                return self._run(key, started, run)
            result = _join(joined, request.deadline)
            if not isinstance(result, TaskPaused) or self.is_paused(request):
                return result
            # It was paused before this request, which resumes the job.

    def cancel(self, job_id: str, retry_count: int = 0) -> None:
        """Cancel the job's running work and its later requests. Idempotent; does not wait."""
        job = (job_id, retry_count)
        with self._lock:
            self._cancelled[job] = None
            _remove_oldest(self._cancelled, self._capacity)
        self._end(job, StopReason.CANCELLED)

    def pause(self, job_id: str, retry_count: int, mark: SteeringMark) -> None:
        """Pause the job's running work, and its requests before the mark. Idempotent; does not wait."""
        job = (job_id, retry_count)
        with self._lock:
            earlier = self._paused.get(job)
            if mark.call is None and earlier is not None:
                mark = replace(mark, call=earlier.call)
            self._paused[job] = mark
            _remove_oldest(self._paused, self._capacity)
        self._end(job, StopReason.PAUSED)

    def is_cancelled(self, request: ImagesRequest) -> bool:
        """Return whether the job of the request was cancelled."""
        with self._lock:
            return _job_of(request) in self._cancelled

    def is_paused(self, request: ImagesRequest) -> bool:
        """Return whether the request was made for a paused job, or before the job was paused."""
        with self._lock:
            return self._is_paused(request)

    def _is_paused(self, request: ImagesRequest) -> bool:
        pause = self._paused.get(_job_of(request))
        return request.is_paused or (pause is not None and pause.is_after(request))

    def _stop_for(self, request: ImagesRequest) -> CancelToken:
        stop = self._stop.child()
        if _job_of(request) in self._cancelled:
            stop.cancel(StopReason.CANCELLED)
        elif self._is_paused(request):
            stop.cancel(StopReason.PAUSED)
        return stop

    def _end(self, job: _Job, reason: StopReason) -> None:
        with self._lock:
            stops = [run.stop for (of_job, _), run in self._running.items() if of_job == job]
        for stop in stops:
            stop.cancel(reason)

    def _run(self, key: _Key, started: _RunningImage, run: Callable[[CancelToken], HostResult]) -> HostResult:
        try:
            result = run(started.stop)
        except BaseException as error:
            with self._lock:
                del self._running[key]
            # An exception that ends a thread or the process is only for the thread in which it occurred.
            joined = error if isinstance(error, Exception) else Stopped(f"Caching image {key[1]}")
            started.outcome.set_exception(joined)
            raise
        with self._lock:
            del self._running[key]
            if not isinstance(result, TaskPaused) and not result.may_pass:
                self._outcomes[key] = result
                _remove_oldest(self._outcomes, self._capacity)
        started.outcome.set_result(result)
        return result


def _join(joined: _RunningImage, deadline: Deadline) -> HostResult:
    """Return the outcome of the running work. Until then both deadlines are the later one of the two."""
    joined.deadline.postpone_to(deadline)
    while not wait([joined.outcome], _FOLLOW_S).done:
        deadline.postpone_to(joined.deadline)  # it is postponed while the work is held back
    return joined.outcome.result()


def _job_of(request: ImagesRequest) -> _Job:
    return request.job_id, request.retry_count


def _remove_oldest(
    kept: OrderedDict[_Job, None] | OrderedDict[_Job, SteeringMark] | OrderedDict[_Key, HostResult], capacity: int
) -> None:
    while len(kept) > capacity:
        kept.popitem(last=False)
