"""Threads that work on one image together: the first failure of any of them is the failure of all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

_JOIN_SECONDS = 5.0
"""After a stop every thread ends at once, but for one: a reader inside `ImageSource.open`, which only the image
service's own timeout can end. It holds nothing of ours, so it is left to end by itself."""


class Crew:
    """Start threads, wait for all, learn why they failed. A thread of the crew may start another one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._running = 0
        self._failure: BaseException | None = None

    def start(self, role: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""

        def run() -> None:
            failure: BaseException | None = None
            try:
                work()
            except BaseException as error:  # noqa: BLE001  (handed over to the one who waits)
                failure = error
            with self._changed:
                self._running -= 1
                self._failure = self._failure or failure
                self._changed.notify_all()

        thread = threading.Thread(target=run, name=f"{role}-{self._name}", daemon=True)
        with self._changed:
            self._running += 1
        try:
            thread.start()
        except RuntimeError:  # The system has no thread to give: it is not waited for.
            with self._changed:
                self._running -= 1
            raise
        self._threads.append(thread)

    def wait(self, seconds: float) -> bool:
        """Wait, at most so long; True if all have ended. Raises the first failure as soon as there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or not self._running, seconds)
            if self._failure is not None:
                raise self._failure
            return not self._running

    def join(self) -> None:
        """Return when the threads are gone; whoever calls has made them stop before."""
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
            if thread.is_alive():
                _log.warning("Thread %s still waits for the image service; it ends when that answers", thread.name)
