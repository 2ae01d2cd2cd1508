"""What a host does with one image for each operation of a job, by the methods of its virt driver.

A driver that was written for an earlier release lacks some of the methods.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from precache.core.errors import ImageNotCached, KeepingUnsupported
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.ports.clock import Clock
from precache.ports.progress import Watcher
from precache.ports.virt_driver import VirtDriver

PIN_OVER = "it was not pinned, because its keep_until, {}, has passed; send the request again with a later time"
"""The reason of a job that has waited for too long."""

_NO_PIN = "it has no pin"


class StoppableWatcher(Watcher, Protocol):
    def check_stop(self) -> None:
        """Raise what ends the work, if it is to end: Stopped, DeadlinePassed."""
        ...


class DriverOperations:
    """The operations with one driver. Thread-safe.

    clock: for the ends of pins. stop_restoring: called with an image that is no longer wanted, before it is unpinned or
        purged: it may be fetched again at the moment, because it was gone.
    """

    def __init__(
        self,
        *,
        driver: VirtDriver,
        clock: Clock,
        stop_restoring: Callable[[ImageId], object] = lambda _image: None,
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._stop_restoring = stop_restoring
        self._methods: dict[Operation, Callable[[str, ImageOrder, StoppableWatcher], OperationResult]] = {
            Operation.CACHE: self._cache,
            Operation.VERIFY: self._verify,
            Operation.PURGE: self._purge,
            Operation.PIN: self._pin,
            Operation.UNPIN: self._unpin,
        }

    def perform(self, operation: Operation, job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        """Do it with the image and return the result.

        Raises NotImplementedError, with the reason, where the driver cannot or need not do it; any error of core/errors
        where it failed; what `watch` raises.
        """
        return self._methods[operation](job_id, order, watch)

    def _cache(self, job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        keep = self._keeper_of(job_id, order)  # first, so that nothing is downloaded that cannot be kept
        is_fetched = self._driver.cache_image(order, watch)
        keep(watch.check_stop)
        return OperationResult(Outcome.CACHED if is_fetched else Outcome.EXISTING)

    def _verify(self, _job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        result: OperationResult = self._method("verify_image")(order, watch)
        return result

    def _purge(self, _job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        purge_image = self._method("purge_image")
        self._stop_restoring(order.image)
        result: OperationResult = purge_image(order, watch)
        return result

    def _pin(self, job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        pin_image, pin = self._method("pin_image"), Pin(pinned_by(job_id), self._end_of(order.options))
        if not pin.counts(self._clock.now()):
            return OperationResult(Outcome.ERROR, PIN_OVER.format(order.options.keep_until))
        try:
            pin_image(order.image, pin, watch.check_stop)
        except ImageNotCached as error:
            raise error.with_sentence("Cache it with keep_for_s or keep_until, which pins it too.") from None
        return OperationResult(Outcome.PINNED)

    def _unpin(self, _job_id: str, order: ImageOrder, watch: StoppableWatcher) -> OperationResult:
        unpin_image = self._method("unpin_image")
        self._stop_restoring(order.image)
        result: OperationResult = unpin_image(order.image, watch.check_stop)
        if result.outcome is Outcome.ABSENT and not result.reason:
            return OperationResult(Outcome.ABSENT, _NO_PIN)  # the image itself may well be in the cache
        return result

    def _method(self, name: str) -> Callable[..., Any]:
        """Return the driver's method. Raises NotImplementedError."""
        method = getattr(self._driver, name, None)
        if method is None:
            verb = name.partition("_")[0]
            raise NotImplementedError(
                f"virt driver {self._driver.name} of this host cannot {verb} images; install a newer version of it"
            )
        found: Callable[..., Any] = method
        return found

    def _keeper_of(self, job_id: str, order: ImageOrder) -> Callable[[Callable[[], None]], None]:
        """Return what keeps the cached image for the time of its order, if it has one. Raises KeepingUnsupported.

        It takes what is called while it waits for another that uses the image.
        """
        options, image = order.options, order.image
        is_over = options.keep_until is not None and options.keep_until <= self._clock.now()
        if (options.keep_for_s is None and options.keep_until is None) or is_over:
            return lambda _wait: None
        pin_image = getattr(self._driver, "pin_image", None)
        if pin_image is not None:
            return lambda wait: pin_image(image, Pin(pinned_by(job_id), self._end_of(options)), wait)
        keep_image = getattr(self._driver, "keep_image", None)  # of an earlier release
        if keep_image is None:
            raise KeepingUnsupported(image, self._driver.name)
        return lambda wait: keep_image(image, self._end_of(options), wait)

    def _end_of(self, options: OrderOptions) -> datetime | None:
        """Return until when the image is kept, from now on; None for always."""
        if options.keep_for_s is not None:
            return self._clock.now() + timedelta(seconds=options.keep_for_s)
        return options.keep_until


def pinned_by(job_id: str) -> str:
    """Return the maker of a pin that a job has requested."""
    return f"job:{job_id}"
