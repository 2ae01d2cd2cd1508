"""The state of a job after its conductor has put it back before its end. All stores use these functions."""

from __future__ import annotations

from datetime import datetime, timedelta

from precache.core.errors import IllegalTransition
from precache.core.jobs import JobState

LEAST_WAIT = timedelta(seconds=1)
"""The shortest wait of a job: two clocks that disagree must not make conductors claim it without a pause."""

_STATES = (JobState.QUEUED, JobState.WAITING, JobState.PAUSED)


def state_after_release(wanted: JobState, *, is_cancelled: bool, is_paused: bool, is_changed: bool) -> JobState:
    """Return the state of a job that its conductor releases as `wanted`. Raises IllegalTransition.

    is_cancelled, is_paused, is_changed: an operator has requested it. These requests may have come, or have been taken
    back, since the conductor decided. The job is queued in three cases:

    - It was released as queued: a conductor must first tell its hosts.
    - It is cancelled: a conductor ends it at once.
    - It has other options than its conductor knew: the time until which it waits may be another one now.
    """
    if wanted not in _STATES:
        raise IllegalTransition("A job that is released", JobState.RUNNING, wanted)
    if wanted is JobState.QUEUED or is_cancelled or is_changed:
        return JobState.QUEUED
    if is_paused:
        return JobState.PAUSED
    return JobState.WAITING if wanted is JobState.WAITING else JobState.QUEUED


def due_after_release(state: JobState, due_at: datetime | None, now: datetime) -> datetime | None:
    """Return when a conductor has to look at the job again. now: by the store's clock."""
    match state:
        case JobState.WAITING:
            return max(due_at or now, now + LEAST_WAIT)
        case JobState.PAUSED:
            return None if due_at is None else max(due_at, now + LEAST_WAIT)
        case _:
            return None
