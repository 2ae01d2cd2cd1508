"""The host's memory of the jobs that it has worked for.

A request may arrive twice, and an answer may be lost. So each image of a job is cached once, and its outcome is kept. A
cancel may arrive before the request to which it belongs. So the ids of cancelled jobs are kept, too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.core.errors import Stopped
from precache.core.images import ImageId
from precache.core.jobs import TaskResult
from precache.core.stopping import StopReason

CAPACITY = 10_000
"""The most outcomes, and the most ids of cancelled jobs. An outcome takes about two hundred bytes; its job has ended
long before it is removed."""

_Key = tuple[str, ImageId]


@dataclass(frozen=True, slots=True)
class _RunningImage:
    """The running work for one image of a job. stop: ends it."""

    stop: CancelToken
    deadline: Deadline
    outcome: Future[TaskResult] = field(default_factory=Future)


class OutcomeMemory:
    """Keeps one outcome for each job and image. Thread-safe.

    stop: cancelled when the compute is being stopped. capacity: outcomes kept; the oldest are removed.
    """

    def __init__(self, *, stop: CancelToken, capacity: int = CAPACITY) -> None:
        self._stop = stop
        self._capacity = capacity
        self._running: dict[_Key, _RunningImage] = {}
        self._outcomes: OrderedDict[_Key, TaskResult] = OrderedDict()
        self._cancelled: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def outcome_of(
        self, job_id: str, image: ImageId, deadline: Deadline, run: Callable[[CancelToken], TaskResult]
    ) -> TaskResult:
        """Return the stored outcome; else wait for the running work for this job and image; else call `run` and store
        its outcome.

        deadline: of this caller; the latest deadline of all callers applies to the work.
        run: gets the token that ends it; the token is already cancelled if the job is. What `run` raises is raised to
        all waiting callers, and nothing is stored.
        """
        key = (job_id, image)
        with self._lock:
            kept = self._outcomes.get(key)
            joined = self._running.get(key)
            if kept is None and joined is None:
                started = self._running[key] = _RunningImage(self._stop_of(job_id), deadline)
        if kept is not None:
            return kept
        if joined is not None:
            joined.deadline.postpone_to(deadline)
            return joined.outcome.result()
        return self._run(key, started, run)

    def cancel(self, job_id: str) -> None:
        """Cancel the job's running work and its later requests. Idempotent; does not wait."""
        with self._lock:
            self._cancelled[job_id] = None
            _remove_oldest(self._cancelled, self._capacity)
            stops = [run.stop for (of_job, _), run in self._running.items() if of_job == job_id]
        for stop in stops:
            stop.cancel(StopReason.CANCELLED)

    def _stop_of(self, job_id: str) -> CancelToken:
        stop = self._stop.child()
        if job_id in self._cancelled:
            stop.cancel(StopReason.CANCELLED)
        return stop

    def _run(self, key: _Key, started: _RunningImage, run: Callable[[CancelToken], TaskResult]) -> TaskResult:
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
            self._outcomes[key] = result
            _remove_oldest(self._outcomes, self._capacity)
        started.outcome.set_result(result)
        return result


def _remove_oldest(kept: OrderedDict[str, None] | OrderedDict[_Key, TaskResult], capacity: int) -> None:
    while len(kept) > capacity:
        kept.popitem(last=False)
