"""What needs an operator in one cache, until it is over."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from precache.core.cache_entries import Alarm, AlarmKind
from precache.core.images import ImageId
from precache.core.text import plain_line
from precache.ports.clock import Clock

_MOST = 100
"""More alarms than an operator reads; each is in the log, too."""


class CacheAlarms:
    """The alarms of one cache, one of each kind for each entry. Thread-safe. They begin again with the process."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._alarms: dict[tuple[AlarmKind, str], Alarm] = {}

    def set(self, kind: AlarmKind, entry: str, image: ImageId | None, text: str, since: datetime | None = None) -> None:
        """Add the alarm, or change the text of that which is there. Beyond a hundred, new ones are dropped.

        since: None for now.
        """
        line = plain_line(text)
        with self._lock:
            known = self._alarms.get((kind, entry))
            if known is not None:
                self._alarms[kind, entry] = replace(known, image=image, text=line)
            elif len(self._alarms) < _MOST:
                self._alarms[kind, entry] = Alarm(kind, entry, image, line, since or self._clock.now())

    def clear(self, kind: AlarmKind, entry: str) -> None:
        """Remove the alarm; harmless if there is none."""
        with self._lock:
            self._alarms.pop((kind, entry), None)

    def current(self) -> tuple[Alarm, ...]:
        """Return the alarms, the oldest first."""
        with self._lock:
            return tuple(self._alarms.values())
