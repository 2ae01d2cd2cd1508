"""Why a job that runs has to stop, and what becomes of it then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from precache.core.job_options import JobOptions
from precache.core.jobs import Job, JobState, Outcome
from precache.core.stopping import StopReason
from precache.rules.schedule import next_start


class HostMessage(StrEnum):
    """What a host that works for a stopped job is told."""

    CANCEL = "cancel"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a job whose work is stopped.

    message: to the hosts that work for it; None if no host does.
    state: of the job, when its hosts have stopped. It may also end as its tasks have, if all of them have ended.
    rest: how the tasks end that have not ended; None if they are put back, and the job continues later.
    """

    message: HostMessage | None
    state: JobState
    rest: Outcome | None = None


ENDINGS: Mapping[StopReason, Ending] = {
    StopReason.CANCELLED: Ending(HostMessage.CANCEL, JobState.CANCELLED, Outcome.CANCELLED),
    StopReason.DEADLINE_PASSED: Ending(HostMessage.CANCEL, JobState.EXPIRED, Outcome.EXPIRED),
    StopReason.CANARY_FAILED: Ending(None, JobState.FAILED, Outcome.SKIPPED),
    StopReason.PAUSED: Ending(HostMessage.PAUSE, JobState.PAUSED),
    StopReason.WINDOW_CLOSED: Ending(HostMessage.PAUSE, JobState.WAITING),
}
"""For the reasons to stop the work of a job. For all others another conductor continues the job."""

_PRECEDENCE = (StopReason.CANCELLED, StopReason.DEADLINE_PASSED, StopReason.PAUSED, StopReason.WINDOW_CLOSED)


def stop_reason(cancel_requested_at: datetime | None, pause_requested_at: datetime | None) -> StopReason | None:
    """Return why operators want the job stopped; None if they do not."""
    if cancel_requested_at is not None:
        return StopReason.CANCELLED
    return None if pause_requested_at is None else StopReason.PAUSED


def reason_to_stop(job: Job, now: datetime) -> StopReason | None:
    """Return why the job may not run now, as it is stored: for its operator, or by the clock; None if it may."""
    reasons = {stop_reason(job.cancel_requested_at, job.pause_requested_at), stop_by_clock(job.options, now)}
    return next((reason for reason in _PRECEDENCE if reason in reasons), None)


def stop_by_clock(options: JobOptions, now: datetime) -> StopReason | None:
    """Return why the job may not run now: its deadline has passed, or its time has not come; None if it may."""
    if options.deadline is not None and options.deadline <= now:
        return StopReason.DEADLINE_PASSED
    return None if next_start(options, now) is None else StopReason.WINDOW_CLOSED
