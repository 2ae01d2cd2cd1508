"""The entries of one cache that this host serves to other hosts of its site, or takes pieces from.

They are not removed meanwhile: their files are open, so that a removal would free no space.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

_AS_BASE = "a newer version of it is being fetched, which takes pieces from it"


class ServedEntries:
    """The entries that are served or used. Thread-safe. They begin again with the process, which then serves none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, datetime] = {}
        self._bases: Counter[str] = Counter()

    def begin(self, entry: str, until: datetime) -> None:
        """Note that the entry is served until then, in place of an earlier time; `end` ends it before. until: aware."""
        with self._lock:
            self._until[entry] = until

    def end(self, entry: str) -> None:
        """Note that the entry is not served any more; harmless if it was not."""
        with self._lock:
            self._until.pop(entry, None)

    def begin_use(self, entry: str) -> None:
        """Note that a fetch takes pieces from the entry; each is ended once."""
        with self._lock:
            self._bases[entry] += 1

    def end_use(self, entry: str) -> None:
        """Note that one fetch takes nothing more from the entry."""
        with self._lock:
            self._bases[entry] -= 1
            self._bases += Counter()  # without those that are not used

    def why_kept(self, entry: str) -> str:
        """Return why the entry must stay, in words; empty if it is neither served nor used."""
        with self._lock:
            until, is_base = self._until.get(entry), entry in self._bases
        if until is None:
            return _AS_BASE if is_base else ""
        return f"served to other hosts of the site until {until.astimezone(UTC):%H:%M:%S} UTC"
