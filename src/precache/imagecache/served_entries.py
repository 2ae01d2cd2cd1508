"""The entries of one cache that this host serves to other hosts of its site, so that they are not removed meanwhile."""

from __future__ import annotations

import threading
from datetime import UTC, datetime


class ServedEntries:
    """The entries that are served. Thread-safe. They begin again with the process, which then serves none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, datetime] = {}

    def begin(self, entry: str, until: datetime) -> None:
        """Note that the entry is served until then, in place of an earlier time; `end` ends it before. until: aware."""
        with self._lock:
            self._until[entry] = until

    def end(self, entry: str) -> None:
        """Note that the entry is not served any more; harmless if it was not."""
        with self._lock:
            self._until.pop(entry, None)

    def why_kept(self, entry: str) -> str:
        """Return why the entry must stay, in words; empty if it is not served."""
        with self._lock:
            until = self._until.get(entry)
        if until is None:
            return ""
        return f"served to other hosts of the site until {until.astimezone(UTC):%H:%M:%S} UTC"
