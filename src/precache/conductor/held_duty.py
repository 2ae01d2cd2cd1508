"""A duty that one conductor does for all, as this conductor holds it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from precache.core.errors import Unavailable
from precache.ports.job_notices import Duties

_RENEWALS = 3
"""How often a lease is renewed in its time, and how often the others look whether it ended."""


class HeldDuty:
    """One duty. For one thread at a time.

    owner: this conductor. lease: how long another one waits after this one has died.
    """

    def __init__(
        self,
        *,
        duties: Duties,
        name: str,
        owner: str,
        lease: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duties, self._name, self._owner, self._lease = duties, name, owner, lease
        self._monotonic = monotonic
        self._look_at = 0.0
        self._is_held = False

    def is_held(self) -> bool:
        """Return whether this conductor has the duty, certainly for two thirds of the lease. Usually without a query.

        Raises StoreUnavailable.
        """
        if self._monotonic() >= self._look_at:
            self._is_held = False  # if the store is unavailable now
            self._is_held = self._duties.hold(self._name, self._owner, self._lease)
            self._look_at = self._monotonic() + self._lease.total_seconds() / _RENEWALS
        return self._is_held

    def give_up(self) -> None:
        """Let another conductor, or this one after a restart, have the duty at once. Call it when the work has ended.

        Without it, and if the store is unavailable, they wait until the lease ends.
        """
        if self._is_held:
            self._is_held, self._look_at = False, math.inf
            with suppress(Unavailable):
                self._duties.hold(self._name, self._owner, timedelta())
