"""When a conductor looks for a job that it may claim."""

from __future__ import annotations

from datetime import timedelta
from threading import Condition

from precache.core.jobs import Job


class ClaimSchedule:
    """One look for each wake; at the start and every `poll_interval`, looks until no job is found.

    `wake` may be called by any thread, the other methods by one. A job that is found after a wake is taken for the
    one that was announced: another look is made only if that job was claimed before, because then it was not new.
    """

    def __init__(self, *, poll_interval: timedelta) -> None:
        self._poll_s = poll_interval.total_seconds()
        self._changed = Condition()
        self._wakes = 0
        self._wakes_at_look = 0
        self._until_none_is_found = True

    def wake(self) -> None:
        """Let a look be made soon."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when a look is due."""
        with self._changed:
            is_due = self._until_none_is_found or self._changed.wait_for(lambda: self._wakes > 0, self._poll_s)
            self._until_none_is_found = self._until_none_is_found or not is_due

    def begin_look(self) -> None:
        """Note that a look begins; a wake after this leads to another one."""
        with self._changed:
            self._wakes_at_look = self._wakes
            self._wakes = max(0, self._wakes - 1)

    def end_look(self, found: Job | None) -> None:
        """Note what was found."""
        with self._changed:
            if found is None:
                # There is no job for the other wakes that came before the look.
                self._wakes -= max(0, self._wakes_at_look - 1)
                self._until_none_is_found = False
            elif found.lease_token > 1:
                self._until_none_is_found = True
