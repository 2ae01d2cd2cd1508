"""An action that is repeated at an interval, such as a heartbeat or the cleaning of the cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread


class PeriodicTask:
    """Calls `action` every `interval` in a thread of its own, from `start` until it is stopped.

    A failure is logged, and the action is called again after `retry_interval`, by default the interval.
    delay: before the first call. what, of: the kind of work, as the start of a sentence, and which one, for the log.
    """

    def __init__(
        self,
        *,
        action: Callable[[], object],
        interval: timedelta,
        what: str,
        of: str = "",
        delay: timedelta = timedelta(),
        retry_interval: timedelta | None = None,
    ) -> None:
        self._action = action
        self._interval, self._delay = interval, delay
        self._retry_interval = interval if retry_interval is None else min(interval, retry_interval)
        self._what, self._of = what, of
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system can start no further thread."""
        self._thread = start_thread(self._run, name=f"{self._what} {self._of}".rstrip())

    def wake(self) -> None:
        """Call the action now; once more if it runs already. Cheap; from any thread."""
        self._woken.set()

    def ask_to_stop(self) -> None:
        """Begin no further call; do not wait."""
        self._stopping.set()
        self._woken.set()

    def stop(self, patience: timedelta) -> None:
        """Begin no further call, and wait at most that long for the running one. Harmless if it was never started."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(patience.total_seconds())

    def _run(self) -> None:
        pause = self._delay
        while True:
            self._woken.wait(pause.total_seconds())
            self._woken.clear()  # before the action, so that a call of `wake` during it is not lost
            if self._stopping.is_set():
                return
            pause = self._retry_interval
            then = f"will be tried again in {pause}"
            with log_exceptions(what=self._what, of=self._of, then=then, stopping=self._stopping):
                self._action()
                pause = self._interval
