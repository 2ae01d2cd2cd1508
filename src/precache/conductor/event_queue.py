"""A queue for the steps of a job, from the threads that call hosts to the job's own thread."""

from __future__ import annotations

from collections import deque
from threading import Event

from precache.core.jobs import JobStep


class EventQueue:
    """Many threads put steps in, one takes them out.

    The reader wakes for the first step, not for each one: at hundreds of hosts a second, waking up costs more processor
    time than the steps themselves.
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
        """Mark that no further step will arrive; a wait then returns at once."""
        self._is_last.set()
        self._has_some.set()

    def wait_for_first(self, timeout_s: float) -> None:
        """Wait until there is a step, `end` was called, or the time is over."""
        self._has_some.wait(timeout_s)

    def wait_for_last(self, timeout_s: float) -> None:
        """Wait until `end` was called or the time is over. Steps that arrive meanwhile stay in the queue."""
        self._is_last.wait(timeout_s)

    def take(self) -> list[JobStep]:
        """Remove and return all steps, in their order."""
        self._has_some.clear()  # first, so that a step that arrives meanwhile ends the next wait
        self._is_last.clear()
        taken = []
        while self._steps:
            taken.append(self._steps.popleft())
        return taken
