"""How often hosts report regularly: the more of them are active in relays, the less often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from precache.core.errors import StoreUnavailable
from precache.ports.relay_store import RelayStore
from precache.rules.relay_assignment import report_interval_s

COUNT_INTERVAL = timedelta(seconds=5)
"""How often a conductor counts the active hosts."""


class ReportInterval:
    """Call it for the seconds between two regular reports of a host. Thread-safe; rarely with a query."""

    def __init__(self, *, relays: RelayStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._relays, self._monotonic = relays, monotonic
        self._lock = threading.Lock()
        self._count_at = 0.0
        self._active = 0

    def __call__(self) -> float:
        return report_interval_s(self.active_hosts())

    def active_hosts(self) -> int:
        """Return how many hosts were active in relays some seconds ago, or earlier if the store is unavailable."""
        now = self._monotonic()
        with self._lock:  # one thread counts; the others use the last number
            is_due = now >= self._count_at
            if is_due:
                self._count_at = now + COUNT_INTERVAL.total_seconds()
        if is_due:
            with suppress(StoreUnavailable):
                self._active = self._relays.count_active_members()
        return self._active
