"""The last events of one job. Readers have positions in it, so a slow reader costs no memory."""

from __future__ import annotations

import re
from typing import Any

from precache.api.events.frames import frame

_ID = re.compile(r"([0-9a-f]{1,32})-([0-9]{1,15})")


class EventLog:
    """Numbered events, as bytes ready to send; the oldest are dropped. Not thread-safe.

    run: distinguishes this log from that of another process. An id of an event is `run-number`.
    most_bytes: kept, besides the events that were added last.
    """

    def __init__(self, run: str, most_bytes: int) -> None:
        self._run = run
        self._most_bytes = most_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self.dropped = 0
        """The number of the last event that is not kept any more."""

    @property
    def last(self) -> int:
        """Return the number of the last event; 0 before the first."""
        return self.dropped + len(self._frames)

    def id_of(self, number: int) -> str:
        return f"{self._run}-{number}"

    def append(self, *events: tuple[str, Any]) -> None:
        """Add events that belong together. They stay until the next call, so a reader that had all before gets them."""
        self._drop_oldest()
        for name, data in events:
            self._frames.append(frame(name, data, self.id_of(self.last + 1)))
            self._bytes += len(self._frames[-1])

    def number_of(self, event_id: str) -> int | None:
        """Return the number of this event if all events after it are here; else None."""
        match = _ID.fullmatch(event_id)
        if match is None or match[1] != self._run:
            return None
        number = int(match[2])
        return number if self.dropped <= number <= self.last else None

    def after(self, number: int, most_bytes: int) -> tuple[bytes, int]:
        """Return events after this one, about `most_bytes`, and the number of the last. number: at least `dropped`."""
        start = end = number - self.dropped
        size = 0
        while end < len(self._frames) and size < most_bytes:
            size += len(self._frames[end])
            end += 1
        return b"".join(self._frames[start:end]), self.dropped + end

    def _drop_oldest(self) -> None:
        count = 0
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._frames[count])
            count += 1
        del self._frames[:count]
        self.dropped += count
