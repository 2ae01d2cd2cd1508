"""Removes the records of jobs that ended long ago: in small transactions, with pauses, by one conductor at a time."""

from __future__ import annotations

import logging
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.conductor.held_duty import HeldDuty
from precache.core.text import number_of
from precache.ports.job_store import JobPurge

_log = logging.getLogger(__name__)

BATCH = 20
PAUSE_S = 1.0
"""Between two transactions, so that the database has most of its time for the jobs that run."""


class PurgeJobs:
    """One pass, to be repeated every hour. For one thread.

    keep: how long the record of a job is kept after its end. stop: ends the pass at its next pause.
    """

    def __init__(
        self, *, duty: HeldDuty, purge: JobPurge, keep: timedelta, stop: CancelToken, pause_s: float = PAUSE_S
    ) -> None:
        self._duty, self._purge, self._keep = duty, purge, keep
        self._stop, self._pause_s = stop, pause_s

    def __call__(self) -> None:
        """Remove jobs until none is old enough, this conductor loses the duty, or it stops. Raises StoreUnavailable."""
        removed = 0
        try:
            while self._duty.is_held() and (count := self._purge.purge(self._keep, BATCH)):
                removed += count
                if self._stop.wait(self._pause_s):
                    return
        finally:
            if removed:
                _log.info(
                    "Removed %s that ended over %s ago", number_of(removed, "job"), number_of(self._keep.days, "day")
                )
