"""Ends the process if a thread ends by a bug: otherwise the process would run on without one of its parts.

Every loop of this service catches the errors of its work. An error here is a bug in a loop itself, or in a thread of a
library.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from precache.core.errors import ThreadDied

_log = logging.getLogger(__name__)


class DeadThreads:
    """Detects the first thread that ends by an exception. then: called at once, in that thread."""

    def __init__(self, *, then: Callable[[], None]) -> None:
        self._then = then
        self._first: ThreadDied | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch all threads of the process until the end of the block."""
        before, threading.excepthook = threading.excepthook, self._note
        try:
            yield
        finally:
            threading.excepthook = before

    def check(self) -> None:
        """Raise ThreadDied if a thread has ended by an exception."""
        if self._first is not None:
            raise self._first

    def _note(self, end: threading.ExceptHookArgs) -> None:
        if issubclass(end.exc_type, SystemExit):
            return
        name = end.thread.name if end.thread else "unknown"
        death = ThreadDied(name, f"{end.exc_type.__name__}: {end.exc_value}")
        _log.critical("%s", death, exc_info=end.exc_value)
        self._first = self._first or death
        self._then()
