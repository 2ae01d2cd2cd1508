"""The way of a job's steps from the threads that ask its hosts to the job's own."""

from __future__ import annotations

from collections import deque
from threading import Event

from precache.core.jobs import JobStep


class EventQueue:
    """Many threads put steps in, one takes them out. It is woken for the first, not for each: at hundreds of hosts a
    second a thread that wakes for each step takes more of the processor than the steps themselves.
    """

    def __init__(self) -> None:
        self._steps: deque[JobStep] = deque()
        self._has_some = Event()
        self._is_last = Event()

    def put(self, step: JobStep) -> None:
        self._steps.append(step)
        if not self._has_some.is_set():
            self._has_some.set()

    def end(self) -> None:
        """Mark that no step is under way any more; waiting for one then returns at once."""
        self._is_last.set()
        self._has_some.set()

    def wait_for_first(self, timeout_s: float) -> None:
        """Return as soon as there is a step, or `end` was called."""
        self._has_some.wait(timeout_s)

    def wait_for_last(self, timeout_s: float) -> None:
        """Return when `end` was called; what comes in meanwhile stays here."""
        self._is_last.wait(timeout_s)

    def take(self) -> list[JobStep]:
        """Return all that has come in, in its order."""
        self._has_some.clear()  # before the look, so that a step that comes in during it wakes for the next one
        self._is_last.clear()
        taken = []
        while self._steps:
            taken.append(self._steps.popleft())
        return taken
