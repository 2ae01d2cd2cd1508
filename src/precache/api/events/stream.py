"""The events of a job for one reader. The sender takes bytes from here and never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from precache.api.events.frames import HEARTBEAT

HEARTBEAT_S = 15.0
"""A reader that receives nothing for this time gets a comment."""

PART_BYTES = 64 * 1024
"""About the most bytes that `take` returns at once."""


class EventSource(Protocol):
    """What a stream reads from. Thread-safe."""

    def take(self, stream: EventStream) -> bytes: ...

    def close(self, stream: EventStream) -> None: ...


class EventStream:
    """One reader's part of a job's events: an iterable for WSGI servers, which occupies a thread; or `take`.

    begin: what is sent before the events of the log. position: the number of the last event that needs not be sent.
    expires_at: when the stream ends, so that the caller's rights are checked again; in seconds of the source's clock.
    is_finished: nothing follows what `take` returns. is_cut: events were dropped before the reader took them, so that
    the connection must be closed without a regular end.
    """

    def __init__(self, source: EventSource, *, begin: bytes, position: int, expires_at: float) -> None:
        self._source = source
        self.begin = begin
        self.position = position
        self.expires_at = expires_at
        self.is_finished = False
        self.is_cut = False
        self.wake: Callable[[], None] = _nothing
        """Called after there are new events; must not block."""

    def take(self) -> bytes:
        """Return the next bytes; empty if there are none now."""
        return self._source.take(self)

    def close(self) -> None:
        """Free the reader's place. Called by WSGI servers, too; harmless if repeated."""
        self._source.close(self)

    def __iter__(self) -> Iterator[bytes]:
        woken = threading.Event()
        self.wake = woken.set
        while True:
            woken.clear()
            if part := self.take():
                yield part
            elif self.is_finished or self.is_cut:
                return
            elif not woken.wait(HEARTBEAT_S):
                yield HEARTBEAT


def _nothing() -> None:
    pass
