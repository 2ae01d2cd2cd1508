"""A group of threads with one result: the first failure of any thread is the failure of the group."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context

from precache.background.threads import start_thread

_log = logging.getLogger(__name__)

_JOIN_S = 1.0
"""How long to wait for threads that were told to stop. One that waits in a library for an answer ends later."""


class TaskGroup:
    """Starts threads, waits for all of them, and raises the first failure.

    A thread of the group may start further ones.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._running = 0
        self._failure: BaseException | None = None

    def start(self, role: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own, in a copy of the caller's context.

        Raises RuntimeError if the system can start no further thread.
        """
        context = copy_context()

        def run() -> None:
            failure: BaseException | None = None
            try:
                context.run(work)
            except BaseException as error:  # noqa: BLE001  raised by `wait`
                failure = error
            with self._changed:
                self._running -= 1
                self._failure = self._failure or failure
                self._changed.notify_all()

        with self._changed:
            self._running += 1
        try:
            self._threads.append(start_thread(run, name=f"{role}-{self._name}"))
        except RuntimeError:  # The thread has not started, so `wait` must not wait for it.
            with self._changed:
                self._running -= 1
            raise

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; return whether all have ended. Raises the first failure at once."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or not self._running, seconds)
            if self._failure is not None:
                raise self._failure
            return not self._running

    def join(self) -> None:
        """Wait until the threads have ended. The caller must have told them to stop."""
        for thread in self._threads:
            thread.join(_JOIN_S)
            if thread.is_alive():
                _log.warning("Thread %s still waits for an answer; it ends when the answer arrives", thread.name)
