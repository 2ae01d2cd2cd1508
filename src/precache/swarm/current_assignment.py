"""The newest assignment of this host in one relay, for the threads that follow it and those that receive it."""

from __future__ import annotations

import threading

from precache.core.errors import PrecacheError
from precache.core.relays import Assignment


class CurrentAssignment:
    """Assignments arrive as answers to reports and as messages of conductors, in any order. Thread-safe."""

    def __init__(self, first: Assignment) -> None:
        self._assignment = first
        self._changes = 0
        self._failure: PrecacheError | None = None
        self._changed = threading.Condition()

    def get(self) -> Assignment:
        """Return the newest assignment. Raises the error of `fail`."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._assignment

    @property
    def latest(self) -> Assignment:
        """Return the newest assignment, also after `fail`."""
        return self._assignment

    @property
    def changes(self) -> int:
        """Return how often it has changed, for `wait`."""
        return self._changes

    def offer(self, assignment: Assignment) -> None:
        """Follow this assignment, unless it is of another relay, or older than the present one.

        One with the same version can have a new ticket or the root.
        """
        with self._changed:
            present = self._assignment
            if assignment.relay == present.relay and assignment.version >= present.version and assignment != present:
                self._assignment = assignment
                self._changes += 1
                self._changed.notify_all()

    def fail(self, error: PrecacheError) -> None:
        """Make every later `get` raise this error: the host may not take part any more."""
        with self._changed:
            self._failure = error
            self._changes += 1
            self._changed.notify_all()

    def wait(self, changes: int, seconds: float) -> bool:
        """Wait at most that long until there were more changes than these; return whether there were."""
        with self._changed:
            return self._changed.wait_for(lambda: self._changes > changes, seconds)
