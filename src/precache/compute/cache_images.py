"""The use case behind the RPC methods `cache_images` and `cancel_job`: one host, several images, one after another."""

from __future__ import annotations

import logging
from dataclasses import replace

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.outcome_memory import CAPACITY, OutcomeMemory
from precache.core.errors import DeadlinePassed, PrecacheError, Stopped
from precache.core.jobs import Outcome, Phase, TaskProgress, TaskResult
from precache.core.orders import CacheOrder
from precache.core.stopping import StopReason
from precache.core.work_context import working_on_job
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest
from precache.ports.progress import ProgressSink
from precache.ports.virt_driver import VirtDriver

_log = logging.getLogger(__name__)

UNSUPPORTED = "the host's virt driver does not support image pre-caching"


class CacheImages:
    """Caches images with the host's driver. Thread-safe: several requests may run at once.

    Each image of a job is cached once. A second request for an image that is being cached for the same job waits for
    that work; for a finished image it is answered from memory. The outcome of work that was stopped or failed by a bug
    is not kept.

    cell: of the host, for its progress. stop: cancelled when the compute is being stopped; running transfers then end
        and leave no file. capacity: the most outcomes that are kept.
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
        capacity: int = CAPACITY,
    ) -> None:
        self._host = host
        self._cell = cell
        self._driver = driver
        self._progress = progress
        self._clock = clock
        self._memory = OutcomeMemory(stop=stop, capacity=capacity)

    def __call__(self, request: CacheRequest) -> list[TaskResult]:
        """Return one result for each image, in the request's order. A failure does not stop the other images.

        Raises Stopped if the compute is being stopped.
        """
        with working_on_job(request.job_id):
            if request.is_cancelled:
                self.cancel_job(request.job_id)
            return self._cache_all(request)

    def cancel_job(self, job_id: str) -> None:
        """End the unfinished images of the job as `cancelled`, also those of later requests; do not wait."""
        with working_on_job(job_id):
            _log.info("Cancelling job %s on %s", job_id, self._host)
        self._memory.cancel(job_id)

    def _cache_all(self, request: CacheRequest) -> list[TaskResult]:
        _log.info("Caching %i image(s) by request on %s (job %s)", len(request.images), self._host, request.job_id)
        results = [self._cache_one(request, order) for order in request.orders]
        if any(result.outcome is Outcome.UNSUPPORTED for result in results):
            _log.warning(
                "Virt driver %s on %s does not support image pre-caching; ignoring request",
                self._driver.name,
                self._host,
            )
        return results

    def _cache_one(self, request: CacheRequest, order: CacheOrder) -> TaskResult:
        def run(stop: CancelToken) -> TaskResult:
            beginning = TaskProgress(request.job_id, self._host, order.image, Phase.WAITING, 0, 0, self._cell)
            watch = _Watch(beginning, self._progress, stop, request.deadline)
            started_at = self._clock.now()
            outcome, reason = self._outcome(order, watch, stop)
            return TaskResult(order.image, outcome, watch.bytes_done, reason, started_at, self._clock.now())

        return self._memory.outcome_of(request.job_id, order.image, request.deadline, run)

    def _outcome(self, order: CacheOrder, watch: _Watch, stop: CancelToken) -> tuple[Outcome, str]:
        image = order.image
        _log.info("Caching image %s by request on %s", image, self._host)
        try:
            watch.check_stop()
            fetched = self._driver.cache_image(order, watch)
        except NotImplementedError as error:
            return Outcome.UNSUPPORTED, str(error) or UNSUPPORTED
        except Stopped:
            if stop.reason is not StopReason.CANCELLED:
                raise
            _log.info("Caching image %s on %s was cancelled after %i bytes", image, self._host, watch.bytes_done)
            return Outcome.CANCELLED, ""
        except PrecacheError as error:
            _log.error("Failed to cache image %s on %s: %s", image, self._host, error)
            return Outcome.ERROR, str(error)
        except Exception as error:  # noqa: BLE001  the request boundary of this process: the other images go on
            _log.exception("Failed to cache image %s on %s", image, self._host)
            return Outcome.ERROR, f"unexpected {type(error).__name__}: {error}; the log of the compute has the details"
        if not fetched:
            _log.info("Image %s already cached on %s; updating timestamp", image, self._host)
        return (Outcome.CACHED if fetched else Outcome.EXISTING), ""


class _Watch:
    """The port `Watcher` for one task: reports progress, and stores the number of received bytes.

    The driver calls it some ten times a second, also while it waits. So it can end the work: when the compute is being
    stopped, when the job is cancelled, and when the deadline of the request has passed.
    """

    def __init__(self, beginning: TaskProgress, progress: ProgressSink, stop: CancelToken, deadline: Deadline) -> None:
        self._deadline = deadline
        self._beginning = beginning
        self._progress = progress
        self._stop = stop
        self.bytes_done = 0

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.check_stop()
        self.bytes_done = max(self.bytes_done, bytes_done)
        self._progress.add(replace(self._beginning, phase=phase, bytes_done=bytes_done, bytes_total=bytes_total))

    def check_stop(self) -> None:
        self._stop.check(f"Caching image {self._beginning.image} on {self._beginning.host}")
        if self._deadline.has_passed:
            raise DeadlinePassed(self._beginning.image, self.bytes_done)
