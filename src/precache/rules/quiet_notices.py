"""Which notices are worth sending: that a conductor looks at a job which waits, or ends a cancelled one, is no news."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from precache.core.job_notices import JobEvent, JobNotice
from precache.core.jobs import JobState

HOLD = timedelta(seconds=5)
"""Longer than a look at a job takes that still has to wait."""

_RESTING = (JobState.WAITING, JobState.PAUSED)


@dataclass(frozen=True, slots=True)
class Sorted:
    """send, drop: in the order of their numbers. All other notices are left for later."""

    send: tuple[JobNotice, ...]
    drop: tuple[JobNotice, ...]


def without_looks(notices: Iterable[JobNotice], hold: timedelta = HOLD) -> Sorted:
    """Sort notices, oldest first.

    A conductor claims a waiting job to look whether it can go on; if not, it releases the job to the same state. Then
    neither is sent, except for a new reason to wait. So that a job goes on is told when the next notice of the job
    comes, or after `hold`. A conductor also claims a cancelled job, to end it: that it runs is not sent.
    """
    send: dict[int, JobNotice] = {}
    drop: dict[int, JobNotice] = {}
    looks: dict[str, JobNotice] = {}
    for notice in notices:
        look = looks.pop(notice.job.id, None)
        if look is not None and notice.event.state is look.old_state:
            drop[look.number] = look
            (drop if notice.reason == look.old_reason else send)[notice.number] = notice
            continue
        if look is not None:
            send[look.number] = look
        if notice.event is JobEvent.RUNNING and _was_cancelled(notice):
            drop[notice.number] = notice
        elif notice.event is JobEvent.RUNNING and notice.old_state in _RESTING:
            looks[notice.job.id] = notice
        else:
            send[notice.number] = notice
    send |= {look.number: look for look in looks.values() if look.age >= hold}
    return Sorted(*(tuple(each[number] for number in sorted(each)) for each in (send, drop)))


def _was_cancelled(notice: JobNotice) -> bool:
    requested_at = notice.job.cancel_requested_at
    return requested_at is not None and requested_at < notice.at
