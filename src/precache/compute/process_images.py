"""The use case behind the calls of conductors to a host: several images, one after another, which may be stopped."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from precache.background.cancel_token import CancelToken
from precache.compute.driver_operations import DriverOperations
from precache.compute.job_rates import JobRates
from precache.compute.outcome_memory import CAPACITY, OutcomeMemory
from precache.compute.steering_mark import SteeringMark
from precache.compute.task_watch import TaskWatch
from precache.compute.turns import Turns
from precache.core.cache_contents import ImageSize
from precache.core.errors import PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Outcome, Phase, TaskPaused, TaskProgress, TaskResult
from precache.core.operation_result import OperationResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.core.work_context import working_on_job
from precache.fetch.rate_limits import RateLimit, RateLimits
from precache.imagecache.kept_downloads import KeptDownloads
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CallNumber, HostResult, ImagesRequest, Rates
from precache.ports.progress import ProgressSink
from precache.ports.virt_driver import VirtDriver

_log = logging.getLogger(__name__)

UNSUPPORTED = "the host's virt driver does not support image pre-caching"

_DOING: Mapping[Operation, str] = {
    Operation.CACHE: "Caching",
    Operation.VERIFY: "Verifying",
    Operation.PURGE: "Purging",
    Operation.PIN: "Pinning",
    Operation.UNPIN: "Unpinning",
}
_IN_TURN = frozenset({Operation.CACHE, Operation.VERIFY})
"""The operations that read or write whole images: the host does one of these at a time."""

_WARNED = frozenset({Outcome.CORRUPT, Outcome.IN_USE})


class ProcessImages:
    """The port `HostCompute` with the host's driver. Thread-safe: several requests may run at once.

    Each image of a job is processed once. A second request for an image that is being processed for the same job waits
    for that work; for a finished image it is answered from memory. The outcome of work that was stopped, that failed by
    a bug, or for a reason that may pass, is not kept.

    The host caches or verifies one image at a time, over all jobs: that of the highest priority first, then that of the
    request that came first. If two jobs want an image, the second goes on with what the first has received, or finds it
    cached. To purge, pin and unpin is a matter of milliseconds and takes no turn.

    cell: of the host, for its progress. turns: of the host; its own by default. stop: cancelled when the compute is
        being stopped; running transfers then end and leave no file. rates: the limits that running downloads follow.
    kept: what is kept of paused downloads; None if the driver keeps nothing. capacity: the most outcomes that are kept.
    stop_restoring: called with an image before it is unpinned or purged.
    on_change: called after the work for each image, which may have changed the cache; quick, from any thread.
    """

    def __init__(
        self,
        *,
        host: str,
        cell: str,
        driver: VirtDriver,
        progress: ProgressSink,
        clock: Clock,
        stop: CancelToken,
        rates: RateLimits | None = None,
        kept: KeptDownloads | None = None,
        turns: Turns | None = None,
        stop_restoring: Callable[[ImageId], object] = lambda _image: None,
        capacity: int = CAPACITY,
        on_change: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_change = on_change
        self._host = host
        self._cell = cell
        self._driver = driver
        self._operations = DriverOperations(driver=driver, clock=clock, stop_restoring=stop_restoring)
        self._progress = progress
        self._clock = clock
        self._rates = rates or RateLimits()
        self._kept = kept
        self._job_rates = JobRates()
        self._turns = turns or Turns()
        self._arrivals = itertools.count()
        self._memory = OutcomeMemory(stop=stop, capacity=capacity)

    def process_images(self, request: ImagesRequest) -> list[HostResult]:
        """Return one result for each image, in the request's order. A failure does not stop the other images.

        Raises Stopped if the compute is being stopped.
        """
        request = replace(request, arrival=next(self._arrivals))
        with working_on_job(request.job_id):
            if request.is_cancelled:
                self.cancel_job(request.job_id, request.retry_count)
            elif request.is_paused:
                self._memory.pause(request.job_id, request.retry_count, SteeringMark(None, request.arrival))
            return self._process_all(request)

    def cancel_job(self, job_id: str, retry_count: int = 0) -> None:
        with working_on_job(job_id):
            _log.info("Cancelling job %s on %s", job_id, self._host)
        self._memory.cancel(job_id, retry_count)
        if self._kept is not None:
            self._kept.remove_of_job(job_id)

    def pause_job(self, job_id: str, retry_count: int, call: CallNumber) -> None:
        with working_on_job(job_id):
            _log.info("Pausing job %s on %s", job_id, self._host)
        self._memory.pause(job_id, retry_count, SteeringMark(call, next(self._arrivals)))

    def limit_job(self, job_id: str, rates: Rates, call: CallNumber) -> None:
        with working_on_job(job_id):
            _log.info("Changing the rate limits of job %s on %s", job_id, self._host)
        self._job_rates.change(job_id, rates, SteeringMark(call, next(self._arrivals)))

    def _process_all(self, request: ImagesRequest) -> list[HostResult]:
        doing = _DOING[request.operation]
        _log.info("%s %i image(s) by request on %s (job %s)", doing, len(request.images), self._host, request.job_id)
        results: list[HostResult] = []
        for order in request.orders:
            results.append(self._process_one(request, order))
            if len(results) < len(request.orders):  # else the answer tells it
                self._report_done(request.job_id, results[-1])
        if any(isinstance(result, TaskResult) and result.outcome is Outcome.UNSUPPORTED for result in results):
            _log.warning(
                "Virt driver %s on %s does not support image pre-caching; ignoring request",
                self._driver.name,
                self._host,
            )
        return results

    def _process_one(self, request: ImagesRequest, order: ImageOrder) -> HostResult:
        operation = request.operation

        def perform(watch: TaskWatch) -> OperationResult:
            limit = RateLimit(partial(self._job_rates.rate_of, request, order), request.deadline.postpone_by)
            with self._turn(request, order.image, watch), self._rates.applied(order.image, limit):
                watch.check_stop()
                return self._operations.perform(operation, request.job_id, order, watch)

        def run(stop: CancelToken) -> HostResult:
            beginning = self._beginning_of(request, order.image)
            doing, awaited = _DOING[operation], self._turns.is_awaited
            watch = TaskWatch(doing, beginning, self._progress, stop, request.deadline, awaited)
            started_at = self._clock.now()
            result = self._result(operation, order.image, partial(perform, watch), watch, stop)
            self._on_change()
            if isinstance(result, TaskPaused):
                if self._memory.is_cancelled(request):  # while it paused
                    self._release_kept(operation, order.image, request.job_id, removes=True)
                return result
            return replace(
                result,
                bytes_moved=watch.bytes_moved,
                bytes_from=watch.bytes_from,
                decoded_by=watch.decoded_by,
                started_at=started_at,
                finished_at=self._clock.now(),
            )

        return self._memory.outcome_of(request, order.image, run)

    def _report_done(self, job_id: str, result: HostResult) -> None:
        """Report that the host has ended for this image: the others may take hours."""
        if isinstance(result, TaskResult):
            moved = result.bytes_moved
            self._progress.add(TaskProgress(job_id, self._host, result.image, Phase.DONE, moved, moved, self._cell))

    def _beginning_of(self, request: ImagesRequest, image: ImageId) -> TaskProgress:
        """Return the progress before the work: what is kept of an image that is to be cached."""
        kept = self._kept if request.operation is Operation.CACHE else None
        done, total = (0, 0) if kept is None else (kept.bytes_of(image), kept.size_of(image))
        return TaskProgress(request.job_id, self._host, image, Phase.WAITING, done, total, self._cell)

    @contextmanager
    def _turn(self, request: ImagesRequest, image: ImageId, watch: TaskWatch) -> Iterator[None]:
        """Hold the turn within the block. The wait for it does not count for the deadline, unless the work that has
        the turn hangs."""
        is_only_touched = request.operation is Operation.CACHE and self._is_cached(image)
        if is_only_touched or request.operation not in _IN_TURN:
            yield
            return
        deadline = request.deadline
        with ExitStack() as turn, ExitStack() as held:

            def wait() -> None:
                watch(Phase.WAITING, 0, 0)
                if self._turns.is_overdue:
                    held.close()

            held.enter_context(deadline.held())
            turn.enter_context(
                self._turns.turn(
                    image, priority=request.priority, arrival=request.arrival, deadline=deadline, wait=wait
                )
            )
            held.close()
            yield

    def _is_cached(self, image: ImageId) -> bool:
        # A driver that was written for an earlier release lacks the method.
        describe = getattr(self._driver, "describe_cache", None)
        try:
            return describe is not None and image in describe([ImageSize(image)]).held
        except (NotImplementedError, PrecacheError):
            return False  # `cache_image` has the reason

    def _result(
        self,
        operation: Operation,
        image: ImageId,
        perform: Callable[[], OperationResult],
        watch: TaskWatch,
        stop: CancelToken,
    ) -> HostResult:
        """Return the result, without its times and bytes."""
        _log.info("%s image %s by request on %s", _DOING[operation], image, self._host)
        try:
            watch.check_stop()
            result = perform()
        except NotImplementedError as error:
            return TaskResult(image, Outcome.UNSUPPORTED, reason=str(error) or UNSUPPORTED)
        except Stopped as stopped:
            ended = self._result_of_stop(operation, image, watch, stop)
            if ended is None:
                raise
            if stop.reason is StopReason.CANCELLED:
                self._release_kept(operation, image, watch.job_id, removes=not stopped.keeps_data)
            return ended
        except PrecacheError as error:
            _log.error("Failed to %s image %s on %s: %s", operation, image, self._host, error)
            self._release_kept(operation, image, watch.job_id, removes=not error.may_pass)
            return TaskResult(image, Outcome.ERROR, reason=str(error), may_pass=error.may_pass)
        except Exception as error:  # noqa: BLE001  the request boundary of this process: the other images go on
            _log.exception("Failed to %s image %s on %s", operation, image, self._host)
            reason = f"unexpected {type(error).__name__}: {error}; the log of the compute has the details"
            return TaskResult(image, Outcome.ERROR, reason=reason)
        if result.outcome is Outcome.EXISTING:
            _log.info("Image %s already cached on %s; updating timestamp", image, self._host)
        elif result.outcome in _WARNED:
            _log.warning("Image %s on %s: %s. %s", image, self._host, result.outcome, result.reason)
        return TaskResult(image, result.outcome, reason=result.reason)

    def _release_kept(self, operation: Operation, image: ImageId, job_id: str, *, removes: bool) -> None:
        """Note that the job has ended for the image, so that it wants no kept download any more."""
        if self._kept is not None and operation is Operation.CACHE:
            self._kept.release(image, job_id, removes=removes)

    def _result_of_stop(
        self, operation: Operation, image: ImageId, watch: TaskWatch, stop: CancelToken
    ) -> HostResult | None:
        """Return the result of work that was stopped; None if the compute is being stopped."""
        doing = _DOING[operation]
        if stop.reason is StopReason.PAUSED:
            _log.info("%s image %s on %s was paused after %i bytes", doing, image, self._host, watch.bytes_done)
            # Another job may have received it. What was verified is verified again.
            kept = self._kept if operation is Operation.CACHE else None
            return TaskPaused(image, 0 if kept is None else kept.claim(image, watch.job_id))
        if stop.reason is StopReason.CANCELLED:
            _log.info("%s image %s on %s was cancelled after %i bytes", doing, image, self._host, watch.bytes_done)
            return TaskResult(image, Outcome.CANCELLED)
        return None
