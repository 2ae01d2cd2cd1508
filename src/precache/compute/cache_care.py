"""What a host does with its cache by itself, beside the work of jobs: each kind regularly, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.background.periodic_task import PeriodicTask
from precache.compute.background_verification import BackgroundVerification
from precache.compute.cache_reporter import CacheReporter
from precache.compute.pinned_images import PinnedImages
from precache.compute.restore_images import RestoreImages
from precache.compute.turns import Turns
from precache.core.errors import Stopped
from precache.core.images import ImageId
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.kept_downloads import KeptDownloads
from precache.ports.clock import Clock
from precache.ports.virt_driver import VirtDriver
from precache.rules.expiry import LONGEST_TOUCH_INTERVAL

KEEP_INTERVAL = timedelta(minutes=10)
"""Between passes over what is kept of paused downloads."""

SHARE_INTERVAL = timedelta(minutes=10)
"""Between announcements of this host to those that share its cache."""

HASH_INTERVAL = timedelta(seconds=10)
"""How long a new entry may wait until it is hashed, while other images of the same request are fetched."""

RESTORE_INTERVAL = timedelta(minutes=1)
"""How soon an image is fetched again after the pause that follows a failure; the first attempt does not wait."""

VERIFY_INTERVAL = timedelta(minutes=1)
"""Between two looks for an image that is to be verified."""


@dataclass(frozen=True, slots=True)
class CareSettings:
    """How often what is done, and how fast.

    clean_interval: between passes of the cleaner; None for no passes. touch_interval: between passes over the pinned
        images.
    restores_pinned: fetch pinned images again that are gone. restore_bytes_per_s: of each of these downloads; None for
        no limit.
    verify_interval, verify_bytes_per_s: of the verification in the background; no bytes for none.
    """

    clean_interval: timedelta | None = None
    touch_interval: timedelta = LONGEST_TOUCH_INTERVAL
    restores_pinned: bool = True
    restore_bytes_per_s: int | None = None
    verify_interval: timedelta = timedelta(days=30)
    verify_bytes_per_s: int = 0


class CacheCare:
    """The regular work of one host on its cache. Call `start`, and `stop` at the end.

    turns: of the host, which this work takes after all jobs. stop: cancelled when the compute is being stopped.
    rates: the limits that running downloads follow. kept: what is kept of paused downloads; None if the driver keeps
        nothing. alarms: of the cache; None if the driver keeps none. reporter: None to report nothing.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: VirtDriver,
        clock: Clock,
        turns: Turns,
        stop: CancelToken,
        rates: RateLimits,
        settings: CareSettings,
        kept: KeptDownloads | None,
        alarms: CacheAlarms | None,
        reporter: CacheReporter | None,
    ) -> None:
        self._host, self._stop, self._reporter = host, stop, reporter
        self.cache_id = ""
        self._restoring = RestoreImages(
            host=host,
            driver=driver,
            turns=turns,
            stop=stop,
            rates=rates,
            clock=clock,
            rate_bytes_per_s=settings.restore_bytes_per_s,
            alarms=alarms,
            wake=lambda: self._restorer.wake(),
        )
        self._restorer = self._regularly("The restoring of images of", self._restoring.run, RESTORE_INTERVAL)
        self._pinned = PinnedImages(
            host=host,
            driver=driver,
            clock=clock,
            interval=settings.touch_interval,
            restoring=self._restoring if settings.restores_pinned else None,
        )
        self._hasher = self._optional(
            driver, "hash_entries", "The hashing of new entries of", self._hash, HASH_INTERVAL
        )
        sharer = self._optional(driver, "share_cache", "The announcement in the cache of", self._share, SHARE_INTERVAL)
        self._tasks = [
            *self._cleaner(driver, settings),
            self._pinned.task,
            *self._hasher,
            *sharer,
            self._restorer,
            *self._verifier(driver, turns, settings),
        ]
        if kept is not None:
            self._tasks.append(self._regularly("The removal of paused downloads of", kept.clean, KEEP_INTERVAL))

    def start(self) -> None:
        """Start all but the reports on the cache."""
        for task in self._tasks:
            task.start()

    def start_reports(self) -> None:
        if self._reporter is not None:
            self._reporter.start()

    def ask_to_stop(self) -> None:
        """Begin nothing more; do not wait."""
        for task in self._all():
            task.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Call `ask_to_stop`, and wait at most that long for all of the work: a disk that hangs holds each kind."""
        self.ask_to_stop()
        deadline = Deadline(patience)
        for task in self._all():
            task.stop(timedelta(seconds=max(0.0, deadline.left_s)))

    def forget(self, image: ImageId) -> None:
        """Fetch the image no more, because its pins are gone."""
        self._restoring.forget(image)

    def check_clock(self) -> None:
        """Touch the pinned images now if the clock has jumped. Called every few seconds."""
        self._pinned.check_clock()

    def note_change(self) -> None:
        """Report soon what has changed in the cache."""
        if self._reporter is not None:
            self._reporter.wake()

    def note_new_entries(self) -> None:
        """Hash soon what a job has cached."""
        for task in self._hasher:
            task.wake()

    def note_corrupt_entry(self) -> None:
        """Fetch soon what was moved aside, if it is pinned."""
        self._pinned.task.wake()

    def _all(self) -> Sequence[PeriodicTask | CacheReporter]:
        return (*self._tasks, *([self._reporter] if self._reporter else []))

    def _regularly(self, what: str, action: Callable[[], object], interval: timedelta) -> PeriodicTask:
        return PeriodicTask(action=action, interval=interval, what=what, of=self._host)

    def _optional(
        self, driver: VirtDriver, method: str, what: str, use: Callable[..., object], interval: timedelta
    ) -> list[PeriodicTask]:
        """Return the task that uses the driver's method; none if the driver was written for an earlier release."""
        found = getattr(driver, method, None)
        return [] if found is None else [self._regularly(what, partial(use, found), interval)]

    def _cleaner(self, driver: VirtDriver, settings: CareSettings) -> list[PeriodicTask]:
        if settings.clean_interval is None:
            return []

        def clean() -> None:
            driver.clean_cache()
            self.note_change()

        return [self._regularly("The cache cleaner of", clean, settings.clean_interval)]

    def _verifier(self, driver: VirtDriver, turns: Turns, settings: CareSettings) -> list[PeriodicTask]:
        if not settings.verify_bytes_per_s:
            return []
        verification = BackgroundVerification(
            host=self._host,
            driver=driver,
            turns=turns,
            stop=self._stop,
            interval=settings.verify_interval,
            rate_bytes_per_s=settings.verify_bytes_per_s,
            on_change=self.note_change,
        )
        return [self._regularly("The verification of images of", verification.run, VERIFY_INTERVAL)]

    def _hash(self, hash_entries: Callable[[Callable[[], None]], None]) -> None:
        with suppress(Stopped):
            hash_entries(lambda: self._stop.check(f"Hashing the entries of {self._host}"))

    def _share(self, share_cache: Callable[[], str]) -> None:
        self.cache_id = share_cache()
        if self._reporter is not None:
            self._reporter.cache_id = self.cache_id
