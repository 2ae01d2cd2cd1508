"""What becomes of a job when an operator steers it. All stores use these functions.

A job that runs is changed by its conductor; the operator's request is stored beside its state. So is a job that has
begun and is queued: hosts may still work on it, and the next conductor stops them. No host works on a waiting or paused
job, but hosts may have kept downloads for it. So a conductor tells them that it is cancelled. `now` is the time by the
store's clock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from precache.core.errors import JobEnded, JobIsCancelled, JobNotEnded, NothingToRetry
from precache.core.job_changes import JobChange
from precache.core.jobs import Job, JobState, check_job_transition
from precache.rules.operation_fields import check_fields
from precache.rules.schedule import check_schedule, earlier, next_start

_AT_REST = frozenset({JobState.WAITING, JobState.PAUSED})


def cancelled(job: Job, now: datetime) -> Job:
    """Return the job after a request to cancel it: ended if it has never begun, else for a conductor to end.

    A waiting or paused job stays so until then, and is due. Raises JobEnded.
    """
    if job.state is JobState.CANCELLED:
        return job
    _check_not_ended(job, "cancel")
    requested = replace(job, cancel_requested_at=job.cancel_requested_at or now, pause_requested_at=None)
    if job.started_at is None:
        return replace(_in_state(requested, JobState.CANCELLED), finished_at=now)
    return replace(requested, due_at=requested.cancel_requested_at) if job.state in _AT_REST else requested


def paused(job: Job, now: datetime) -> Job:
    """Return the job after a request to pause it: paused, if no host works on it. Raises JobEnded, JobIsCancelled."""
    _check_not_ended(job, "pause")
    if job.cancel_requested_at is not None:
        raise JobIsCancelled(job.id, "pause")
    requested = replace(job, pause_requested_at=job.pause_requested_at or now)
    may_have_hosts = job.state is JobState.RUNNING or (job.state is JobState.QUEUED and job.started_at is not None)
    if may_have_hosts or job.state is JobState.PAUSED:
        return requested
    # Only a conductor can end it at its deadline.
    return replace(_in_state(requested, JobState.PAUSED), due_at=job.options.deadline)


def resumed(job: Job, now: datetime) -> Job:
    """Return the job without a request to pause it: queued if it was paused, else as it is. Raises JobEnded."""
    _check_not_ended(job, "resume")
    released = replace(job, pause_requested_at=None)
    is_due = job.cancel_requested_at is not None
    return _queued(released, now) if job.state is JobState.PAUSED and not is_due else released


def retried(job: Job, now: datetime) -> Job:
    """Return the ended job as queued again. A deadline that has passed is removed.
    Raises JobNotEnded, NothingToRetry. The store changes the tasks, and refuses if all of them were successful.
    """
    if not job.state.is_final:
        raise JobNotEnded(job.id, job.state)
    if job.state is JobState.SUCCEEDED:
        raise NothingToRetry(job.id)
    deadline = job.options.deadline
    is_over = deadline is not None and deadline <= now
    return replace(
        _in_state(job, JobState.QUEUED),
        options=replace(job.options, deadline=None) if is_over else job.options,
        retry_count=job.retry_count + 1,
        finished_at=None,
        cancel_requested_at=None,
        pause_requested_at=None,
    )


def changed(job: Job, change: JobChange, now: datetime) -> Job:
    """Return the job with the change and, if it changes anything, a new revision.

    Raises JobEnded, InvalidOption, WindowNeverOpens.
    """
    _check_not_ended(job, "change")
    check_fields(job.operation, change.document)
    options, orders = change.options(job.options), change.orders(job.orders)
    if change.is_of_schedule:
        check_schedule(options, now)
    if (options, orders) == (job.options, job.orders):
        return job
    revised = replace(job, options=options, orders=orders, revision=job.revision + 1)
    if job.cancel_requested_at is not None:
        return revised  # it is due, or a conductor has it
    if job.state is JobState.PAUSED:
        return replace(revised, due_at=options.deadline)
    if change.is_of_schedule and job.state in (JobState.QUEUED, JobState.WAITING):
        return _queued(revised, now)
    return revised


def _queued(job: Job, now: datetime) -> Job:
    """Return the job as a conductor may take it: now, when its window opens, or at its deadline before that."""
    start = next_start(job.options, now)
    if start is None or (job.started_at is not None and job.state is JobState.QUEUED):
        return _in_state(job, JobState.QUEUED)
    return replace(
        _in_state(job, JobState.WAITING), due_at=earlier(start.at, job.options.deadline), reason=start.reason
    )


def _in_state(job: Job, state: JobState) -> Job:
    """Return the job in another state. What it waited for, or how it ended, is no longer valid."""
    if state is not job.state:
        check_job_transition(job.state, state)
    return replace(job, state=state, due_at=None, reason="")


def _check_not_ended(job: Job, action: str) -> None:
    if job.state.is_final:
        raise JobEnded(job.id, job.state, action)
