"""The state of a broker, as far as this process knows it. Only this module logs it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from precache.adapters.bus_oslo.causes import cause

_log = logging.getLogger(__name__)

REMINDER_S = 600.0
"""How often a broker that stays down is logged."""


class BusState:
    """The state, updated with the result of each attempt to send. Thread-safe.

    uses_tls: whether the connection uses TLS; if not, a broker that has never answered may require it.
    monotonic: a clock in seconds that never goes back.
    """

    def __init__(self, *, place: str, uses_tls: bool = False, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._uses_tls = uses_tls
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._is_up: bool | None = None  # None until something was tried
        self._has_been_up = False
        self._reason = ""
        self._logged_at = 0.0
        self._last_down: float | None = None
        self._down_since: float | None = None
        self._up_since: float | None = None

    @property
    def is_up(self) -> bool:
        """Return whether the broker is up; False also while nothing is known."""
        with self._changed:
            return bool(self._is_up)

    @property
    def reason(self) -> str:
        """Return why the broker is down; empty if it is not."""
        with self._changed:
            return self._reason

    def note_up(self) -> None:
        with self._changed:
            was_down = self._is_up is False
            self._up_since = self._up_since if self._is_up else self._monotonic()
            self._is_up, self._reason, self._down_since = True, "", None
            self._has_been_up = True
            self._changed.notify_all()
        if was_down:
            _log.info("The message bus %s is available again", self._place)

    def note_failure(self, error: BaseException) -> str:
        """Record that the broker is down; return a short reason."""
        with self._changed:
            may_lack_tls = not self._uses_tls and not self._has_been_up
        reason = cause(error, may_lack_tls=may_lack_tls)
        self.note_down(reason)
        return reason

    def note_down(self, reason: str) -> None:
        with self._changed:
            now = self._monotonic()
            is_news = self._is_up is not False or self._reason != reason or now - self._logged_at >= REMINDER_S
            self._is_up, self._reason, self._last_down, self._up_since = False, reason, now, None
            self._down_since = now if self._down_since is None else self._down_since
            if is_news:
                self._logged_at = now
        if is_news:
            _log.warning("The message bus %s is not available: %s; trying until it is", self._place, reason)

    def down_for_s(self) -> float:
        """Return for how long the broker has been down; 0 if it is up or its state is unknown."""
        with self._changed:
            return 0.0 if self._down_since is None else self._monotonic() - self._down_since

    def up_for_s(self) -> float:
        """Return for how long the broker has been up; 0 if it is down or its state is unknown."""
        with self._changed:
            return 0.0 if self._up_since is None else self._monotonic() - self._up_since

    def was_down_within(self, seconds: float) -> bool:
        """Return whether an attempt failed in the last `seconds`, or the last one did."""
        with self._changed:
            if self._is_up is False:
                return True
            return self._last_down is not None and self._monotonic() - self._last_down <= seconds

    def wait_until_up(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._is_up), timeout_s)
