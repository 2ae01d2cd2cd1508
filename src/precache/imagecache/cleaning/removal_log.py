"""The entries that were removed from one cache lately, with the reasons."""

from __future__ import annotations

import threading
from collections import deque

from precache.core.cache_entries import Removal

_MOST = 50
"""How many removals a report holds; all of them are in the log."""


class RemovalLog:
    """The last removals. Thread-safe. It begins again with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removals: deque[Removal] = deque(maxlen=_MOST)

    def note(self, removal: Removal) -> None:
        with self._lock:
            self._removals.append(removal)

    def recent(self) -> tuple[Removal, ...]:
        """Return the last removals, the newest first."""
        with self._lock:
            return tuple(reversed(self._removals))
