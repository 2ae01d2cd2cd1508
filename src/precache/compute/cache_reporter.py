"""Reports what the host's cache holds: changes at once, everything once in a while."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from precache.background.periodic_task import PeriodicTask
from precache.core.cache_entries import AlarmKind, CacheListing
from precache.core.errors import PrecacheError
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.cleaning.removal_log import RemovalLog
from precache.ports.cache_inventory import CacheReports
from precache.ports.clock import Clock
from precache.ports.virt_driver import ImageCaching
from precache.rules.cache_changes import CacheState, ReportSeries

_log = logging.getLogger(__name__)

LEAST_SHARE = 0.9
"""Of the interval between two full reports: each is between this part of it and the whole, so that hosts which started
together do not report together for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFacts:
    """What is reported of a cache besides its entries."""

    owner: str
    policy: str = ""
    alarms: CacheAlarms | None = None
    removals: RemovalLog | None = None


class CacheReporter:
    """Reports the cache of one host, in a thread of its own: a listing that hangs stops nothing else.

    delay: before the first report. interval: between two comparisons of the cache with what was reported.
    full_interval: the longest time between two reports of everything.
    monotonic, chance: return seconds, and a number from 0 to 1.
    cache_id: identifies the cache; to be set when it is known.
    """

    def __init__(
        self,
        *,
        host: str,
        cell: str,
        driver: ImageCaching,
        facts: CacheFacts,
        reports: CacheReports,
        clock: Clock,
        interval: timedelta,
        full_interval: timedelta,
        delay: timedelta = timedelta(),
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.cache_id = ""
        self._driver = driver
        self._facts = facts
        self._reports = reports
        self._clock = clock
        self._full_interval_s = full_interval.total_seconds()
        self._monotonic = monotonic
        self._chance = chance
        self._series = ReportSeries(host, cell, uuid.uuid4().hex)
        self._full_at = monotonic()
        self._is_first = True
        self._complaint = ""
        self._listed: CacheState | None = None
        what = "The report on the cache of"
        self._task = PeriodicTask(action=self.report, interval=interval, delay=delay, what=what, of=host)

    def start(self) -> None:
        """Report everything after the delay, and then regularly."""
        self._task.start()

    def wake(self) -> None:
        """Report the changes soon; cheap, from any thread."""
        self._task.wake()

    def ask_to_stop(self) -> None:
        self._task.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        self._task.stop(patience)

    def report(self) -> None:
        """Report everything if that is due, else the changes. A listing that fails is an alarm, and is tried again."""
        # A driver that was written for an earlier release lacks the method.
        if (list_cache := getattr(self._driver, "list_cache", None)) is None:
            return
        try:
            state = self._state(cast(CacheListing, list_cache()))
        except NotImplementedError as error:
            state = CacheState(unsupported=str(error) or "the driver of this host caches no images")
        except PrecacheError as error:
            self._report_unlisted(error)
            return
        self._complaint = ""
        if self._facts.alarms is not None:
            self._facts.alarms.clear(AlarmKind.NOT_LISTED, "")
            state = replace(state, alarms=self._facts.alarms.current())
        self._listed = state
        self._send(state)

    def _report_unlisted(self, error: PrecacheError) -> None:
        """Report the last list, with an alarm; nothing if there is none, or the driver keeps no alarms."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            _log.warning("The cache cannot be listed, so that its changes are not reported: %s", error)
        alarms = self._facts.alarms
        if alarms is None or self._listed is None:
            return
        text = f"The cache cannot be listed, so what is reported of its entries is from before: {error}"
        alarms.set(AlarmKind.NOT_LISTED, "", None, text)
        self._send(replace(self._listed, alarms=alarms.current()))

    def _state(self, listing: CacheListing) -> CacheState:
        facts = self._facts
        return CacheState(
            entries=listing.entries,
            space=listing.space,
            cache_id=self.cache_id,
            owner=facts.owner,
            policy=facts.policy,
            removals=facts.removals.recent() if facts.removals else (),
            alarms=facts.alarms.current() if facts.alarms else (),
        )

    def _send(self, state: CacheState) -> None:
        is_full = self._monotonic() >= self._full_at
        make = self._series.full if is_full else self._series.changes
        report = make(state, self._clock.now())
        if report is None:
            return
        try:
            is_sent = not self._reports.store_reports([report])
        except PrecacheError:
            self._series.lose()
            raise
        if not is_sent:
            self._series.lose()
        elif report.is_full:
            self._full_at = self._monotonic() + self._full_interval_s * self._share()

    def _share(self) -> float:
        """Return the part of the interval after which the next full report is due."""
        if self._is_first:  # at any time within it: many hosts may have started together
            self._is_first = False
            return self._chance()
        return LEAST_SHARE + (1 - LEAST_SHARE) * self._chance()
