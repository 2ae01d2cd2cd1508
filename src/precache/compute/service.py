"""One host's compute: its driver, its heartbeat, the work of jobs, and the care for its cache."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from precache.background.cancel_token import CancelToken
from precache.background.periodic_task import PeriodicTask
from precache.compute.cache_care import CacheCare, CareSettings
from precache.compute.cache_reporter import CacheReporter
from precache.compute.process_images import UNSUPPORTED, ProcessImages
from precache.compute.swarm_member import SwarmMember
from precache.compute.turns import Turns
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed, CacheUnusable
from precache.core.hosts import Heartbeat
from precache.core.jobs import Outcome, TaskResult
from precache.core.relays import Assignment, Peer
from precache.core.stopping import StopReason
from precache.core.swarm_checks import SwarmState
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.kept_downloads import KeptDownloads
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CallNumber, HostResult, ImagesRequest, Rates
from precache.ports.inventory import HostReports
from precache.ports.progress import ProgressSink
from precache.ports.virt_driver import VirtDriver

_NO_CLEAN_NOW = "the virt driver {} cannot do it; use a release of the driver that has the method clean_now"


class ComputeService:
    """The compute, with the port `HostCompute`. Call `start`, then `announce` when requests can be received, and `stop`
    at the end.

    cell: of the host, for heartbeats and progress; empty on a bus, where the receiver knows it.
    release: of precache, for heartbeats. site: of the host, for heartbeats; empty for its cell.
    report_interval: between heartbeats.
    swarm: the host's part in swarms; None if it takes no part.
    rates, kept, alarms, reporter, settings: see CacheCare.
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
        settings: CareSettings,
        release: str = "",
        site: str = "",
        rates: RateLimits | None = None,
        kept: KeptDownloads | None = None,
        alarms: CacheAlarms | None = None,
        reporter: CacheReporter | None = None,
        swarm: SwarmMember | None = None,
    ) -> None:
        self.host = host
        self._cell, self._release, self._site = cell, release, site
        self._driver = driver
        self._reports = reports
        self._clock = clock
        self._swarm = swarm
        self._boot_id = uuid.uuid4().hex
        self._stopping = CancelToken()
        turns, rates = Turns(), rates or RateLimits()
        self._care = CacheCare(
            host=host,
            driver=driver,
            clock=clock,
            turns=turns,
            stop=self._stopping,
            rates=rates,
            settings=settings,
            kept=kept,
            alarms=alarms,
            reporter=reporter,
        )
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
            stop_restoring=self._care.forget,
            on_change=self._care.note_change,
        )
        self._heartbeat = PeriodicTask(action=self._beat, interval=report_interval, what="The heartbeat of", of=host)

    def start(self) -> None:
        """Prepare the driver, and start the care for the cache. Raises CacheUnusable if the cache cannot be used."""
        self._driver.start()
        self._care.start()

    def announce(self) -> None:
        """Send a heartbeat now and at every interval, until the stop.

        Call it when requests can be received: a conductor gives up a host that sends heartbeats but does not listen.
        """
        if not self._stopping.is_cancelled:
            self._beat()
            self._heartbeat.start()
            self._care.start_reports()
            if self._swarm is not None:  # a host without a heartbeat gets no certificate
                self._swarm.start()

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        results = self._process_images.process_images(request)
        if any(isinstance(result, TaskResult) and result.outcome is Outcome.CORRUPT for result in results):
            self._care.note_corrupt_entry()
        self._care.note_new_entries()
        return results

    def cancel_job(self, job_id: str, retry_count: int = 0) -> None:
        self._process_images.cancel_job(job_id, retry_count)

    def pause_job(self, job_id: str, retry_count: int, call: CallNumber) -> None:
        self._process_images.pause_job(job_id, retry_count, call)

    def limit_job(self, job_id: str, rates: Rates, call: CallNumber) -> None:
        self._process_images.limit_job(job_id, rates, call)

    def change_relay(self, assignment: Assignment) -> None:
        if self._swarm is not None:
            self._swarm.changed(assignment)

    def check_swarm(self, peer: Peer | None) -> SwarmState:
        return SwarmState() if self._swarm is None else self._swarm.check(peer)

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
        finally:
            self._care.note_change()

    def ask_to_stop(self) -> None:
        """End running transfers, which leave no file, and raise Stopped to all callers of requests; do not wait."""
        self._stopping.cancel(StopReason.SHUTDOWN)
        self._heartbeat.ask_to_stop()
        self._care.ask_to_stop()
        if self._swarm is not None:
            self._swarm.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Call `ask_to_stop`; wait at most that long for the heartbeat, and again for the work on the cache."""
        self.ask_to_stop()
        self._heartbeat.stop(patience)
        self._care.stop(patience)
        if self._swarm is not None:
            self._swarm.stop(patience)

    def _beat(self) -> None:
        self._care.check_clock()
        beat = Heartbeat(
            host=self.host,
            cell=self._cell,
            driver=self._driver.name,
            seen_at=self._clock.now(),
            boot_id=self._boot_id,
            release=self._release,
            site=self._site,
            cache_id=self._care.cache_id,
        )
        self._reports.store_heartbeats([beat])
