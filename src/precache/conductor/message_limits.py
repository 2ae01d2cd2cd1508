"""Bounds how often each host asks, so that a broken one does not take the time of a conductor from the others."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

PER_S = 20
"""Messages of one host, in all its relays. In a relay it sends two a second, and only while it is slow."""

BURST_S = 3
"""Seconds whose messages a host may send at once."""

_MOST_HOSTS = 100_000


class MessageLimits:
    """A token bucket for each host. Thread-safe. monotonic: a clock in seconds that never goes back."""

    def __init__(self, *, per_s: int = PER_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._monotonic = per_s, monotonic
        self._lock = threading.Lock()
        # By host, the time at which its bucket is full again. The one that has asked last is at the end.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def accepts(self, host: str) -> bool:
        """Count a message of the host; return whether it is within the limit. One that is not is not counted."""
        now = self._monotonic()
        with self._lock:
            full_at = max(self._full_at.pop(host, now), now) + 1 / self._per_s
            is_within = full_at - now <= BURST_S
            self._full_at[host] = full_at if is_within else full_at - 1 / self._per_s
            if len(self._full_at) > _MOST_HOSTS:
                self._full_at.popitem(last=False)
            return is_within
