"""The use case behind the calls of conductors to a host: several images, one after another, which may be stopped."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.job_rates import JobRates
from precache.compute.outcome_memory import CAPACITY, OutcomeMemory
from precache.compute.steering_mark import SteeringMark
from precache.compute.turns import Turns
from precache.core.cache_contents import ImageSize
from precache.core.errors import DeadlinePassed, KeepingUnsupported, PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Outcome, Phase, TaskPaused, TaskProgress, TaskResult
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


class ProcessImages:
    """The port `HostCompute` with the host's driver. Thread-safe: several requests may run at once.

    Each image of a job is cached once. A second request for an image that is being cached for the same job waits for
    that work; for a finished image it is answered from memory. The outcome of work that was stopped, that failed by a
    bug, or for a reason that may pass, is not kept.

    The host does one image at a time, over all jobs: that of the highest priority first, then that of the request that
    came first. If two jobs want an image, the second goes on with what the first has received, or finds it cached.

    cell: of the host, for its progress. turns: of the host; its own by default. stop: cancelled when the compute is
        being stopped; running transfers then end and leave no file. rates: the limits that running downloads follow.
    kept: what is kept of paused downloads; None if the driver keeps nothing. capacity: the most outcomes that are kept.
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
        capacity: int = CAPACITY,
    ) -> None:
        self._host = host
        self._cell = cell
        self._driver = driver
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
            return self._cache_all(request)

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

    def _cache_all(self, request: ImagesRequest) -> list[HostResult]:
        _log.info("Caching %i image(s) by request on %s (job %s)", len(request.images), self._host, request.job_id)
        results: list[HostResult] = []
        for order in request.orders:
            results.append(self._cache_one(request, order))
            if len(results) < len(request.orders):  # else the answer tells it
                self._report_done(request.job_id, results[-1])
        if any(isinstance(result, TaskResult) and result.outcome is Outcome.UNSUPPORTED for result in results):
            _log.warning(
                "Virt driver %s on %s does not support image pre-caching; ignoring request",
                self._driver.name,
                self._host,
            )
        return results

    def _cache_one(self, request: ImagesRequest, order: ImageOrder) -> HostResult:
        def cache(watch: _Watch) -> bool:
            limit = RateLimit(partial(self._job_rates.rate_of, request, order), request.deadline.postpone_by)
            with self._turn(request, order.image, watch), self._rates.applied(order.image, limit):
                watch.check_stop()
                keep = self._keeper_of(order)
                is_fetched = self._driver.cache_image(order, watch)
                keep(watch.check_stop)
                return is_fetched

        def run(stop: CancelToken) -> HostResult:
            beginning = self._beginning_of(request.job_id, order.image)
            watch = _Watch(beginning, self._progress, stop, request.deadline, self._turns.is_awaited)
            started_at = self._clock.now()
            result = self._result(order.image, partial(cache, watch), watch, stop)
            if isinstance(result, TaskPaused):
                if self._memory.is_cancelled(request):  # while it paused
                    self._release_kept(order.image, request.job_id, removes=True)
                return result
            return replace(result, bytes_moved=watch.bytes_done, started_at=started_at, finished_at=self._clock.now())

        return self._memory.outcome_of(request, order.image, run)

    def _keeper_of(self, order: ImageOrder) -> Callable[[Callable[[], None]], None]:
        """Return what keeps the cached image for the time of its order, if it has one. Raises KeepingUnsupported.

        It takes what is called while it waits for another that uses the image.
        """
        if order.options.keep_for_s is None:
            return lambda wait: None  # noqa: ARG005
        keep_for = timedelta(seconds=order.options.keep_for_s)
        # A driver that was written for an earlier release lacks the method.
        keep_image = getattr(self._driver, "keep_image", None)
        if keep_image is None:
            raise KeepingUnsupported(order.image, self._driver.name)
        return lambda wait: keep_image(order.image, self._clock.now() + keep_for, wait)

    def _report_done(self, job_id: str, result: HostResult) -> None:
        """Report that the host has ended for this image: the others may take hours."""
        if isinstance(result, TaskResult):
            moved = result.bytes_moved
            self._progress.add(TaskProgress(job_id, self._host, result.image, Phase.DONE, moved, moved, self._cell))

    def _beginning_of(self, job_id: str, image: ImageId) -> TaskProgress:
        """Return the progress before the work: what is kept of the image."""
        done, total = (0, 0) if self._kept is None else (self._kept.bytes_of(image), self._kept.size_of(image))
        return TaskProgress(job_id, self._host, image, Phase.WAITING, done, total, self._cell)

    @contextmanager
    def _turn(self, request: ImagesRequest, image: ImageId, watch: _Watch) -> Iterator[None]:
        """Hold the turn within the block. The wait for it does not count for the deadline, unless the work that has
        the turn hangs."""
        if self._is_cached(image):
            yield  # it is only touched
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

    def _result(self, image: ImageId, cache: Callable[[], bool], watch: _Watch, stop: CancelToken) -> HostResult:
        """Return the result, without its times and bytes."""
        _log.info("Caching image %s by request on %s", image, self._host)
        try:
            watch.check_stop()
            fetched = cache()
        except NotImplementedError as error:
            return TaskResult(image, Outcome.UNSUPPORTED, reason=str(error) or UNSUPPORTED)
        except Stopped as stopped:
            result = self._result_of_stop(image, watch, stop)
            if result is None:
                raise
            if stop.reason is StopReason.CANCELLED:
                self._release_kept(image, watch.job_id, removes=not stopped.keeps_data)
            return result
        except PrecacheError as error:
            _log.error("Failed to cache image %s on %s: %s", image, self._host, error)
            self._release_kept(image, watch.job_id, removes=not error.may_pass)
            return TaskResult(image, Outcome.ERROR, reason=str(error), may_pass=error.may_pass)
        except Exception as error:  # noqa: BLE001  the request boundary of this process: the other images go on
            _log.exception("Failed to cache image %s on %s", image, self._host)
            reason = f"unexpected {type(error).__name__}: {error}; the log of the compute has the details"
            return TaskResult(image, Outcome.ERROR, reason=reason)
        if not fetched:
            _log.info("Image %s already cached on %s; updating timestamp", image, self._host)
        return TaskResult(image, Outcome.CACHED if fetched else Outcome.EXISTING)

    def _release_kept(self, image: ImageId, job_id: str, *, removes: bool) -> None:
        """Note that the job has ended for the image, so that it wants no kept download any more."""
        if self._kept is not None:
            self._kept.release(image, job_id, removes=removes)

    def _result_of_stop(self, image: ImageId, watch: _Watch, stop: CancelToken) -> HostResult | None:
        """Return the result of work that was stopped; None if the compute is being stopped."""
        if stop.reason is StopReason.PAUSED:
            _log.info("Caching image %s on %s was paused after %i bytes", image, self._host, watch.bytes_done)
            # Another job may have received it.
            return TaskPaused(image, 0 if self._kept is None else self._kept.claim(image, watch.job_id))
        if stop.reason is StopReason.CANCELLED:
            _log.info("Caching image %s on %s was cancelled after %i bytes", image, self._host, watch.bytes_done)
            return TaskResult(image, Outcome.CANCELLED)
        return None


class _Watch:
    """The port `Watcher` for one task: reports progress, and stores the number of received bytes.

    The driver calls it some ten times a second, also while it waits. So it can end the work: when the compute is being
    stopped, when the job is cancelled or paused, and when the deadline of the request has passed.
    """

    def __init__(
        self,
        beginning: TaskProgress,
        progress: ProgressSink,
        stop: CancelToken,
        deadline: Deadline,
        is_awaited: Callable[[ImageId], bool],
    ) -> None:
        """is_awaited: returns whether other work waits for this image."""
        self._is_awaited = is_awaited
        self._deadline = deadline
        self._beginning = beginning
        self._progress = progress
        self._stop = stop
        self.bytes_done = 0

    @property
    def job_id(self) -> str:
        return self._beginning.job_id

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.check_stop()
        self.bytes_done = max(self.bytes_done, bytes_done)
        if phase is Phase.WAITING and not self.bytes_done:
            self._progress.add(self._beginning)
        else:
            self._progress.add(replace(self._beginning, phase=phase, bytes_done=bytes_done, bytes_total=bytes_total))

    def check_stop(self) -> None:
        if self._stop.is_cancelled:
            image, reason = self._beginning.image, self._stop.reason or StopReason.ABANDONED
            # What a cancelled job has received serves another job that waits for the same image.
            keeps_data = reason is StopReason.PAUSED or (reason is StopReason.CANCELLED and self._is_awaited(image))
            raise Stopped(f"Caching image {image} on {self._beginning.host}", reason, keeps_data)
        if self._deadline.has_passed:
            raise DeadlinePassed(self._beginning.image, self.bytes_done)
