"""The times at which a conductor looks for a job to claim."""

from __future__ import annotations

from datetime import timedelta
from threading import Condition

from precache.core.jobs import Job


class ClaimSchedule:
    """One look for each wake. At the start and every `poll_interval`: looks until no job is found.

    `wake` may be called by any thread, the other methods by one. A new job that is found after a wake counts as the
    announced one. If the found job was claimed before, it is not the announced one, and another look follows.
    """

    def __init__(self, *, poll_interval: timedelta) -> None:
        self._poll_s = poll_interval.total_seconds()
        self._changed = Condition()
        self._wakes = 0
        self._wakes_at_look = 0
        self._until_none_is_found = True

    def wake(self) -> None:
        """Make a look due now."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when a look is due."""
        with self._changed:
            is_due = self._until_none_is_found or self._changed.wait_for(lambda: self._wakes > 0, self._poll_s)
            self._until_none_is_found = self._until_none_is_found or not is_due

    def begin_look(self) -> None:
        """Note that a look begins; a later wake leads to another one."""
        with self._changed:
            self._wakes_at_look = self._wakes
            self._wakes = max(0, self._wakes - 1)

    def end_look(self, found: Job | None) -> None:
        """Note the result of the look."""
        with self._changed:
            if found is None:
                # No job is left for the other wakes before the look.
                self._wakes -= max(0, self._wakes_at_look - 1)
                self._until_none_is_found = False
            elif found.lease_token > 1:
                self._until_none_is_found = True
