"""One host's compute: its driver, its heartbeat, its cache cleaner."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import cast

from precache.background.cancel_token import CancelToken
from precache.background.periodic_task import PeriodicTask
from precache.compute.background_verification import BackgroundVerification
from precache.compute.cache_reporter import CacheReporter
from precache.compute.pinned_images import PinnedImages
from precache.compute.process_images import UNSUPPORTED, ProcessImages
from precache.compute.restore_images import RestoreImages
from precache.compute.turns import Turns
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed, CacheUnusable, Stopped
from precache.core.hosts import Heartbeat
from precache.core.jobs import Outcome, TaskResult
from precache.core.stopping import StopReason
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.kept_downloads import KeptDownloads
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CallNumber, HostResult, ImagesRequest, Rates
from precache.ports.inventory import HostReports
from precache.ports.progress import ProgressSink
from precache.ports.virt_driver import VirtDriver
from precache.rules.expiry import LONGEST_TOUCH_INTERVAL

KEEP_INTERVAL = timedelta(minutes=10)

_NO_CLEAN_NOW = "the virt driver {} cannot do it; use a release of the driver that has the method clean_now"
SHARE_INTERVAL = timedelta(minutes=10)
HASH_INTERVAL = timedelta(seconds=10)
"""How long a new entry may wait until it is hashed, while other images of the same request are fetched."""

RESTORE_INTERVAL = timedelta(minutes=1)
"""How soon an image is fetched again after the pause that follows a failure; the first attempt does not wait."""


VERIFY_INTERVAL = timedelta(minutes=5)
"""Between two looks for an image that is to be verified."""


class ComputeService:
    """The compute, with the port `HostCompute`. Call `start`, then `announce` when requests can be received, and `stop`
    at the end.

    cell: of the host, for heartbeats and progress; empty on a bus, where the receiver knows it.
    release: of precache, for heartbeats. site: of the host, for heartbeats; empty for its cell.
    rates: the limits that running downloads follow. kept: what is kept of paused downloads.
    report_interval: between heartbeats. clean_interval: between passes of the cleaner; None for no passes.
    touch_interval: between passes over the pinned images.
    keep_interval: between passes over what is kept of paused downloads.
    restores_pinned: fetch pinned images again that are gone.
    restore_bytes_per_s: of the download of each image that should be in the cache and is gone; None for no limit.
    verify_interval, verify_bytes_per_s: of the verification in the background; no bytes for none.
    alarms: of the cache; None if the driver keeps none. reporter: reports what the cache holds; None to report nothing.
    """

    def __init__(
        self,
        *,
        host: str,
        cell: str,
        driver: VirtDriver,
        reports: HostReports,
        progress: ProgressSink,
        clock: Clock,
        report_interval: timedelta,
        clean_interval: timedelta | None,
        touch_interval: timedelta = LONGEST_TOUCH_INTERVAL,
        release: str = "",
        site: str = "",
        rates: RateLimits | None = None,
        kept: KeptDownloads | None = None,
        keep_interval: timedelta = KEEP_INTERVAL,
        restores_pinned: bool = True,
        restore_bytes_per_s: int | None = None,
        alarms: CacheAlarms | None = None,
        verify_interval: timedelta = timedelta(days=30),
        verify_bytes_per_s: int = 0,
        reporter: CacheReporter | None = None,
    ) -> None:
        self._reporter = reporter
        self.host = host
        self._driver = driver
        self._stopping = CancelToken()
        self._kept = kept
        turns, rates = Turns(), rates or RateLimits()
        self._process_images = ProcessImages(
            host=host,
            cell=cell,
            driver=driver,
            progress=progress,
            clock=clock,
            stop=self._stopping,
            rates=rates,
            kept=kept,
            turns=turns,
            stop_restoring=lambda image: self._restoring.forget(image),
            on_change=self._note_change,
        )
        self._restoring = RestoreImages(
            host=host,
            driver=driver,
            turns=turns,
            stop=self._stopping,
            rates=rates,
            rate_bytes_per_s=restore_bytes_per_s,
            alarms=alarms,
            wake=lambda: self._restorer.wake(),
        )
        what = "The restoring of images of"
        self._restorer = PeriodicTask(action=self._restoring.run, interval=RESTORE_INTERVAL, what=what, of=host)
        self._cell = cell
        self._release = release
        self._site = site
        self._cache_id = ""
        self._boot_id = uuid.uuid4().hex
        self._reports = reports
        self._clock = clock
        self._heartbeat = PeriodicTask(action=self._beat, interval=report_interval, what="The heartbeat of", of=host)
        self._cleaners = (
            [PeriodicTask(action=driver.clean_cache, interval=clean_interval, what="The cache cleaner of", of=host)]
            if clean_interval is not None
            else []
        )
        self._pinned = PinnedImages(
            host=host,
            driver=driver,
            clock=clock,
            interval=touch_interval,
            restoring=self._restoring if restores_pinned else None,
        )
        self._cleaners.append(self._pinned.task)
        self._hasher: PeriodicTask | None = None
        if (hash_entries := getattr(driver, "hash_entries", None)) is not None:
            what = "The hashing of new entries of"
            action = partial(self._hash, hash_entries)
            self._hasher = PeriodicTask(action=action, interval=HASH_INTERVAL, what=what, of=host)
            self._cleaners.append(self._hasher)
        if (share := getattr(driver, "share_cache", None)) is not None:
            what = "The announcement in the cache of"
            sharing = partial(self._share, share)
            self._cleaners.append(PeriodicTask(action=sharing, interval=SHARE_INTERVAL, what=what, of=host))
        self._cleaners.append(self._restorer)
        if verify_bytes_per_s:
            verifying = BackgroundVerification(
                host=host,
                driver=driver,
                turns=turns,
                stop=self._stopping,
                interval=verify_interval,
                rate_bytes_per_s=verify_bytes_per_s,
                on_change=self._note_change,
            )
            what = "The verification of images of"
            self._cleaners.append(PeriodicTask(action=verifying.run, interval=VERIFY_INTERVAL, what=what, of=host))
        if kept is not None:
            what = "The removal of paused downloads of"
            self._cleaners.append(PeriodicTask(action=kept.clean, interval=keep_interval, what=what, of=host))

    def start(self) -> None:
        """Prepare the driver, and start the cache cleaner. Raises CacheUnusable if the cache cannot be used."""
        self._driver.start()
        for cleaner in self._cleaners:
            cleaner.start()

    def announce(self) -> None:
        """Send a heartbeat now and at every interval, until the stop.

        Call it when requests can be received: a conductor gives up a host that sends heartbeats but does not listen.
        """
        if not self._stopping.is_cancelled:
            self._beat()
            self._heartbeat.start()
            if self._reporter is not None:
                self._reporter.start()

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        results = self._process_images.process_images(request)
        if any(isinstance(result, TaskResult) and result.outcome is Outcome.CORRUPT for result in results):
            self._pinned.task.wake()  # it finds what is pinned and was moved aside
        if self._hasher is not None:
            self._hasher.wake()
        return results

    def cancel_job(self, job_id: str, retry_count: int = 0) -> None:
        self._process_images.cancel_job(job_id, retry_count)

    def pause_job(self, job_id: str, retry_count: int, call: CallNumber) -> None:
        self._process_images.pause_job(job_id, retry_count, call)

    def limit_job(self, job_id: str, rates: Rates, call: CallNumber) -> None:
        self._process_images.limit_job(job_id, rates, call)

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        """Return which of the images the host's cache holds, and the space for the others; takes milliseconds.

        Raises CacheNotDescribed, and what the driver raises.
        """
        # A driver that was written for an earlier release lacks the method.
        describe = getattr(self._driver, "describe_cache", None)
        if describe is None:
            raise CacheNotDescribed(self._driver.name)
        try:
            return cast(CacheContents, describe(images))
        except NotImplementedError as error:
            return CacheContents(unsupported=str(error) or UNSUPPORTED)

    def clean_cache(self, request: CleanRequest) -> CleanResult:
        """Clean the cache as an operator asks, and return what was removed, or why nothing was."""
        # A driver that was written for an earlier release lacks the method.
        clean = getattr(self._driver, "clean_now", None)
        if clean is None:
            return CleanResult(refused=_NO_CLEAN_NOW.format(self._driver.name))
        try:
            return cast(CleanResult, clean(request))
        except NotImplementedError as error:
            return CleanResult(refused=str(error) or UNSUPPORTED)
        except CacheUnusable as error:
            return CleanResult(refused=str(error))

    def ask_to_stop(self) -> None:
        """End running transfers, which leave no file, and raise Stopped to all callers of requests; do not wait."""
        self._stopping.cancel(StopReason.SHUTDOWN)
        for task in self._tasks():
            task.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Call `ask_to_stop`; wait at most that long for the heartbeat, and as long for the cleaner."""
        self.ask_to_stop()
        for task in self._tasks():
            task.stop(patience)

    def _hash(self, hash_entries: Callable[[Callable[[], None]], None]) -> None:
        with suppress(Stopped):
            hash_entries(lambda: self._stopping.check(f"Hashing the entries of {self.host}"))

    def _share(self, share: Callable[[], str]) -> None:
        self._cache_id = share()
        if self._reporter is not None:
            self._reporter.cache_id = self._cache_id

    def _tasks(self) -> Sequence[PeriodicTask | CacheReporter]:
        return (self._heartbeat, *self._cleaners, *([self._reporter] if self._reporter else []))

    def _note_change(self) -> None:
        if self._reporter is not None:
            self._reporter.wake()

    def _beat(self) -> None:
        self._pinned.check_clock()
        beat = Heartbeat(
            host=self.host,
            cell=self._cell,
            driver=self._driver.name,
            seen_at=self._clock.now(),
            boot_id=self._boot_id,
            release=self._release,
            site=self._site,
            cache_id=self._cache_id,
        )
        self._reports.store_heartbeats([beat])
