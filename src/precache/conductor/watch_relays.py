"""Gives the places of silent hosts to others, and forgets old relays. One conductor does it for all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from precache.background.log_exceptions import log_exceptions
from precache.conductor.held_duty import HeldDuty
from precache.conductor.plan_relays import PlanRelays
from precache.conductor.report_interval import ReportInterval
from precache.core.text import number_of
from precache.ports.relay_store import HostRatesStore, RelayStore

_log = logging.getLogger(__name__)

SILENT_FOR = timedelta(seconds=5)
"""After which a relay is looked at. The rules know when a host has been silent for too long."""

FORGOTTEN_AFTER = timedelta(hours=6)
"""Since the last report in a relay. Until then operators see it, and its root is known for hosts that come later."""

FAILED_FORGOTTEN_AFTER = timedelta(minutes=10)
"""The same for a relay whose hosts do not agree: the next job tries again."""

RATES_FORGOTTEN_AFTER = timedelta(days=90)
"""Since the last measurement of a host, so that hosts which are gone do not fill the table."""

FORGET_INTERVAL_S = 60.0

_MOST_RELAYS = 100  # looked at in one pass, so that it ends soon


class WatchRelays:
    """One pass, to be repeated every second. For one thread."""

    def __init__(
        self,
        *,
        duty: HeldDuty,
        relays: RelayStore,
        rates: HostRatesStore,
        planner: PlanRelays,
        interval: ReportInterval,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duty, self._relays, self._rates = duty, relays, rates
        self._planner, self._interval, self._monotonic = planner, interval, monotonic
        self._last = ""
        self._forget_at = 0.0

    def __call__(self) -> None:
        """Raises StoreUnavailable; the next pass does what this one has not done."""
        is_time_to_forget = self._monotonic() >= self._forget_at
        # Without active hosts no conductor needs the duty, which is a write to the store every few seconds.
        if not (is_time_to_forget or self._interval.active_hosts()) or not self._duty.is_held():
            return
        silent = self._relays.silent_relays(SILENT_FOR, _MOST_RELAYS, self._last)
        self._last = silent[-1] if len(silent) == _MOST_RELAYS else ""
        for relay_id in silent:
            with log_exceptions(what="The look for silent hosts of relay", of=relay_id):
                self._planner.remove_silent(relay_id)
        if is_time_to_forget:
            self._forget_at = self._monotonic() + FORGET_INTERVAL_S
            self._rates.forget_rates(RATES_FORGOTTEN_AFTER)
            count = self._relays.forget(FORGOTTEN_AFTER, FAILED_FORGOTTEN_AFTER, _MOST_RELAYS)
            if count:
                _log.info(
                    "%s of images that hosts passed on to each other long ago are forgotten", number_of(count, "relay")
                )
