"""A driver without a hypervisor, for simulations of many hosts: its cache is a table in memory, its images are numbers.

It passes the contract suite of the port, and takes as long as a transfer would, by the given clock.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import CachedEntry, CacheListing, CacheSpace, entry_name
from precache.core.errors import ConversionFailed, ImageNotCached, InvalidConfiguration
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import Outcome, Phase
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder
from precache.core.pins import Pin, add_pin, pins_text
from precache.imagecache.entry_lock import POLL_INTERVAL
from precache.ports.clock import Clock
from precache.ports.progress import Watcher
from precache.virt.setup import Cleaning, HostSetup

_DEFAULT_SIZE_BYTES = 1 << 30
_LEAST_STEPS = 10
_NEVER = datetime.min.replace(tzinfo=UTC)
_DISK_BYTES = 1 << 40

LONGEST_STEP = timedelta(seconds=0.2)
"""How soon a fetch notices that it is to stop."""


class FakeDriver:
    """The port `VirtDriver` on a table. Safe for several threads.

    size_bytes: of every image. delay: duration of a fetch, reported in at least ten steps of at most 0.2 seconds.
    failing: images that cannot be fetched. cleaning: None if nothing ever expires.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        size_bytes: int = _DEFAULT_SIZE_BYTES,
        delay: timedelta = timedelta(),
        failing: frozenset[ImageId] = frozenset(),
        cleaning: Cleaning | None = None,
    ) -> None:
        self._clock = clock
        self._size_bytes = size_bytes
        self._delay = delay
        self._failing = failing
        self._cleaning = cleaning
        self._last_use: dict[ImageId, datetime] = {}
        self._pins: dict[ImageId, tuple[Pin, ...]] = {}
        self._verified_at: dict[ImageId, datetime] = {}
        self._being_fetched: set[ImageId] = set()
        self._guard = threading.Lock()

    @classmethod
    def build(cls, setup: HostSetup) -> FakeDriver:
        """Options: `delay_seconds`, `size_bytes`, `failing_images` (ids, with commas between them)."""
        options = setup.options
        failing = [text.strip() for text in options.get("failing_images", "").split(",") if text.strip()]
        try:
            return cls(
                clock=setup.clock,
                size_bytes=int(options.get("size_bytes", _DEFAULT_SIZE_BYTES)),
                delay=timedelta(seconds=float(options.get("delay_seconds", 0))),
                failing=frozenset(parse_image_id(text) for text in failing),
                cleaning=setup.cleaning,
            )
        except ValueError as error:
            raise InvalidConfiguration(f"an option of the virt driver fake is not a number: {error}") from error

    @property
    def name(self) -> str:
        return "fake"

    def start(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        image = order.image
        while not self._begin(image):
            watch(Phase.WAITING, 0, 0)
            self._clock.sleep(POLL_INTERVAL)
        try:
            is_new = image not in self._last_use
            if is_new:
                self._fetch(image, watch)
            with self._guard:
                self._last_use[image] = self._clock.now()
            return is_new
        finally:
            with self._guard:
                self._being_fetched.discard(image)

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        with self._guard:
            held = frozenset(each.image for each in images if each.image in self._last_use)
            return CacheContents(held, held_bytes=dict.fromkeys(held, self._size_bytes))

    def list_cache(self) -> CacheListing:
        with self._guard:
            entries = tuple(sorted(map(self._entry, self._last_use), key=lambda entry: entry.entry))
        used_bytes = len(entries) * self._size_bytes
        return CacheListing(entries, CacheSpace(_DISK_BYTES, max(_DISK_BYTES - used_bytes, 0), used_bytes))

    def _entry(self, image: ImageId) -> CachedEntry:
        return CachedEntry(
            entry=entry_name(image),
            image=image,
            size_bytes=self._size_bytes,
            allocated_bytes=self._size_bytes,
            format="raw",
            source="image service",
            last_used=self._last_use[image],
            pins=self._pins.get(image, ()),
        )

    def hash_entries(self, check_stop: Callable[[], None]) -> None:
        """Do nothing: its images have no content."""

    def verify_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        with self._guard:
            if order.image not in self._last_use:
                return OperationResult(Outcome.ABSENT)
        self._pretend(Phase.VERIFYING, watch)
        with self._guard:
            if order.image not in self._last_use:
                return OperationResult(Outcome.ABSENT)
            self._verified_at[order.image] = self._clock.now()
            return OperationResult(Outcome.INTACT)

    def verify_due(self, interval: timedelta, rate_now: Callable[[], int], watch: Watcher) -> ImageId | None:  # noqa: ARG002
        with self._guard:
            times = {image: self._verified_at.get(image, _NEVER) for image in self._last_use}
        due = [image for image, at in times.items() if self._clock.now() - at >= interval]
        if not due:
            return None
        image = min(due, key=times.__getitem__)
        self.verify_image(ImageOrder(image), watch)
        return image

    def purge_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        image = order.image
        while not self._begin(image):
            watch(Phase.WAITING, 0, 0)
            self._clock.sleep(POLL_INTERVAL)
        with self._guard:
            self._being_fetched.discard(image)
            if image not in self._last_use:
                return OperationResult(Outcome.ABSENT)
            pins = self._pins.get(image, ())
            if pins and not order.options.even_pinned:
                return OperationResult(
                    Outcome.ERROR,
                    f"it is pinned {pins_text(pins, self._clock.now())}; unpin it, or purge it with even_pinned",
                )
            self._pins.pop(image, None)
            self._verified_at.pop(image, None)
            del self._last_use[image]
        return OperationResult(Outcome.PURGED)

    def pin_image(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:  # noqa: ARG002  no wait
        with self._guard:
            if image not in self._last_use:
                raise ImageNotCached(image, "the fake driver")
            self._last_use[image] = self._clock.now()
            self._pins[image] = add_pin(self._pins.get(image, ()), pin)

    def unpin_image(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:  # noqa: ARG002  no wait
        with self._guard:
            return OperationResult(Outcome.UNPINNED if self._pins.pop(image, ()) else Outcome.ABSENT)

    def touch_pinned(self) -> Sequence[ImageId]:
        """Remove the pins that are over. Only `clean_cache` removes images, so none is gone."""
        now = self._clock.now()
        with self._guard:
            left = {image: tuple(pin for pin in pins if pin.counts(now)) for image, pins in self._pins.items()}
            self._pins = {image: pins for image, pins in left.items() if pins}
        return ()

    def share_cache(self) -> str:
        return ""

    def clean_cache(self) -> None:
        if self._cleaning is not None and self._cleaning.removes_unused:
            self._remove(self._unneeded(self._cleaning.limits.original))

    def clean_now(self, request: CleanRequest) -> CleanResult:
        if self._cleaning is None and not request.is_dry_run:
            return CleanResult(refused="the fake driver was not told to clean its cache; a dry run is possible")
        with self._guard:
            held = dict(self._last_use)
        limit = timedelta(days=1) if self._cleaning is None else self._cleaning.limits.original
        least = timedelta() if request.everything else limit
        if request.keep_days is not None:
            least = timedelta(days=request.keep_days)
        chosen = self._unneeded(least)
        removed = chosen if request.is_dry_run else self._remove(chosen)
        policy = "" if self._cleaning is None else self._cleaning.policy.value

        def cleaned(image: ImageId, reason: str) -> CleanedEntry:
            return CleanedEntry(entry_name(image), image, self._size_bytes, held[image], reason)

        return CleanResult(
            policy,
            removed=tuple(cleaned(image, "cleaned on request") for image in removed),
            kept=tuple(cleaned(image, "pinned, in flight or used lately") for image in held if image not in removed),
        )

    def _unneeded(self, least: timedelta) -> list[ImageId]:
        """Return the images that were unused for so long, and are neither kept nor being fetched."""
        now = self._clock.now()
        with self._guard:
            return [
                image
                for image, used in self._last_use.items()
                if now - used >= least and image not in self._being_fetched and image not in self._pins
            ]

    def _remove(self, images: list[ImageId]) -> list[ImageId]:
        """Remove those that are not being fetched meanwhile, and return them."""
        with self._guard:
            removed = [image for image in images if image not in self._being_fetched]
            for image in removed:
                self._last_use.pop(image, None)
        return removed

    def _begin(self, image: ImageId) -> bool:
        with self._guard:
            if image in self._being_fetched:
                return False
            self._being_fetched.add(image)
            return True

    def _fetch(self, image: ImageId, watch: Watcher) -> None:
        if image in self._failing:
            watch(Phase.DOWNLOADING, 0, self._size_bytes)
            raise ConversionFailed(image, "the fake driver was told to fail")
        self._pretend(Phase.DOWNLOADING, watch)
        watch(Phase.PUBLISHING, self._size_bytes, self._size_bytes)

    def _pretend(self, phase: Phase, watch: Watcher) -> None:
        """Take as long as the phase would, and report it."""
        watch(phase, 0, self._size_bytes)
        steps = max(_LEAST_STEPS, math.ceil(self._delay / LONGEST_STEP))
        for step in range(1, steps + 1):
            self._clock.sleep(self._delay / steps)
            watch(phase, self._size_bytes * step // steps, self._size_bytes)
