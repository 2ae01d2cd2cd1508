"""The store of jobs and tasks. The ports are split by caller: the API adds and reads, the conductor works on jobs.

Each method is one transaction. Errors: JobNotFound, LeaseLost, StoreUnavailable. Writing the
same result twice is harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from precache.core.idempotency import IdempotencyKey
from precache.core.images import ImageId
from precache.core.job_changes import JobChange
from precache.core.job_hosts import EVERY_HOST, HostProgress, JobHostFilter
from precache.core.job_lists import EVERY_JOB, NEWEST_FIRST, JobFilter, JobSort
from precache.core.jobs import (
    EVERY_TASK,
    Claim,
    Job,
    JobState,
    JobStep,
    NewJob,
    Outcome,
    Task,
    TaskFilter,
    TaskPlace,
    TaskProgress,
)
from precache.core.stopping import StopReason

TaskKey = tuple[str, ImageId]
"""Host and image, which name a task within its job."""


@dataclass(frozen=True, slots=True)
class RemainingTasks:
    """The hosts of a job, and the tasks that have not ended. All in the order of the request.

    hosts: every host of the job.
    images: of the tasks that have not ended, by host.
    asked: those of these hosts that were asked for them before, each with the cell in which it was asked.
    failures: of these tasks, how often each has failed and was put back; those that have never failed are left out.
    """

    hosts: tuple[str, ...]
    images: Mapping[str, tuple[ImageId, ...]]
    asked: Mapping[str, str]
    failures: Mapping[TaskKey, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Steering:
    """What operators want of a running job.

    stop: the reason to stop it; None if it continues.
    revision: of its options and orders.
    """

    stop: StopReason | None
    revision: int


class JobIntake(Protocol):
    """For the API: accept a request."""

    def add(self, job: NewJob) -> Job:
        """Store the job as `queued`, or as `waiting` if it has `due_at`, and one `waiting` task per host and image.

        If there is a job with its idempotency key, store nothing and return that job; also if both are added at once.
        Raises IdempotencyKeyReused if the request of that job had another body.
        """
        ...

    def find_repeated(self, key: IdempotencyKey) -> Job | None:
        """Return the job with this idempotency key; None if there is none, or none any more.

        Raises IdempotencyKeyReused if its request had another body.
        """
        ...


class JobQueries(Protocol):
    """For the API: read jobs."""

    def list_jobs(
        self,
        *,
        only: JobFilter = EVERY_JOB,
        sort: JobSort = NEWEST_FIRST,
        limit: int = 1000,
        marker: str | None = None,
    ) -> list[Job]:
        """Return up to `limit` of the jobs that `only` matches, in this order, after the job `marker`.

        The marker needs not match. Raises JobNotFound for an unknown marker.
        """
        ...

    def get(self, job_id: str) -> Job:
        """Return the job with its counts and rates. Raises JobNotFound."""
        ...

    def list_tasks(
        self, job_id: str, *, only: TaskFilter = EVERY_TASK, limit: int = 1000, marker: TaskKey | None = None
    ) -> list[Task]:
        """Return up to `limit` of the tasks that `only` matches, after the task `marker`.

        They come by host in the order of the request, then by image in that order. Raises JobNotFound, TaskNotFound for
        an unknown marker.
        """
        ...

    def list_hosts(
        self, job_id: str, *, only: JobHostFilter = EVERY_HOST, limit: int = 1000, marker: str | None = None
    ) -> list[HostProgress]:
        """Return up to `limit` of the hosts of the job that `only` matches, after the host `marker`.

        They come in the order of the request. Raises JobNotFound, HostNotFound for an unknown marker.
        """
        ...


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job and its running tasks, at one moment."""

    job: Job
    running: Mapping[TaskPlace, Task]


class JobSnapshots(Protocol):
    """For the API: follow jobs, in a number of statements that does not grow with the jobs."""

    def snapshots(self, job_ids: Collection[str]) -> Mapping[str, JobSnapshot]:
        """Return those of these jobs that exist, by id, all at one moment."""
        ...

    def ended_places(self, job_id: str, outcomes: Collection[Outcome]) -> Mapping[Outcome, Collection[TaskPlace]]:
        """Return the places of the tasks that ended so, for each of these outcomes; empty without the job."""
        ...

    def tasks_at(self, job_id: str, places: Collection[TaskPlace]) -> Mapping[TaskPlace, Task]:
        """Return those of these tasks that exist."""
        ...


class JobSteering(Protocol):
    """For the API: steer a job. All methods return the job as it is afterwards, and are idempotent.

    A job that may have hosts that work on it is changed by its conductor: its state stays, and the request is stored
    beside it. The time of the first request is kept. The others change at once. They raise JobNotFound, and JobEnded
    for a job that has ended, unless it says otherwise.
    """

    def cancel(self, job_id: str) -> Job:
        """Request that the job ends as `cancelled`.

        A job that never started ends at once, with all its tasks. Any other one gets `cancel_requested_at`, and a
        conductor ends it; a paused or waiting one stays so until then. A cancelled job is returned as it is.
        """
        ...

    def pause(self, job_id: str) -> Job:
        """Request that the job waits as `paused` until it is resumed. Raises JobIsCancelled.

        It gets `pause_requested_at`. A waiting job, and a queued one that never started, is paused at once; any other
        one by its conductor.
        """
        ...

    def resume(self, job_id: str) -> Job:
        """Remove a request to pause the job, and queue a paused one; outside its window it waits instead."""
        ...

    def retry(self, job_id: str) -> Job:
        """Queue the ended job again, with `retry_count` + 1; its tasks without success wait as further attempts.

        Requests to cancel or pause it are removed, and a deadline that has passed. Raises JobNotEnded, NothingToRetry.
        A repeated call raises JobNotEnded, too.
        """
        ...

    def change(self, job_id: str, change: JobChange) -> Job:
        """Change options of the job. If anything differs, its `revision` grows.

        A change of the window or the deadline also changes for how long a waiting or paused job stays so. Raises
        InvalidOption, WindowNeverOpens.
        """
        ...


class StoreProbe(Protocol):
    """For health checks: is the store available?"""

    def check_reachable(self) -> None:
        """Return quickly, independent of the size of the store. Raises StoreUnavailable if it does not answer."""
        ...


class JobClaims(Protocol):
    """For the conductor: claim jobs, and store the steps of their tasks.

    All instants are by the store's clock, never a conductor's. Every method that takes a claim raises
    LeaseLost unless it is the last claim of the job and the job still runs.
    """

    def claim(self, owner: str, lease: timedelta, *, skip: Collection[str] = (), least_priority: int = 0) -> Job | None:
        """Take a free job, and set it running.

        A job is free if it is queued, running with an expired lease, or waiting or paused and due. The one with the
        highest priority is taken, among equals the oldest. The job gets a new fencing token. Its running tasks go back
        to waiting if it was taken over. Return None if there is nothing to do. Two owners never get the same job; a job
        whose row another transaction holds is passed over.
        skip: ids of the jobs that the caller still works on. least_priority: jobs with a lower one are
            passed over, unless they have permits to call hosts from an earlier claim.
        """
        ...

    def remaining(self, claim: Claim) -> RemainingTasks:
        """Return what is left to do: in a number of statements and an amount of memory that suit 10,000 hosts."""
        ...

    def check(self, claim: Claim) -> None:
        """Raise LeaseLost if the claim is no longer held. Change nothing."""
        ...

    def release(
        self,
        claim: Claim,
        *,
        state: JobState = JobState.QUEUED,
        due_at: datetime | None = None,
        reason: str = "",
        revision: int | None = None,
    ) -> None:
        """Put the unfinished job back: queued, waiting or paused, its running tasks waiting.

        The requests of operators come before `state`: see `rules/release.py`. A job of which no host was called and no
        task has ended then counts as never started, unless it is queued. Unless it is released as queued, no host works
        for it any more: see `Job.stopped_token`. reason: why it waits. revision: of the options
        from which the caller derived the other arguments; None if it used no options.
        """
        ...

    def release_all(self) -> int:
        """Release every running job of any owner; only for a process that is alone on this store.

        Return how many. The embedded service calls it at start: what was running belonged to its dead predecessor.
        """
        ...

    def record(self, claim: Claim, steps: Sequence[JobStep]) -> None:
        """Store what became of tasks, in this order; a number of statements that does not grow with each host.

        HostAsked sets its tasks running and counts one attempt; one that had ended stays so. HostEnded records how
        its tasks ended; one that had ended keeps its first outcome. HostPutBack sets running tasks waiting, and counts
        a failure. The same steps may be written again.
        """
        ...

    def finish(self, claim: Claim, state: JobState, reason: str = "") -> Job:
        """Set the job's final state and drop the lease; return the job. reason: why it ended so.

        The state is `cancelled`, whatever the caller says, if a request to cancel the job came before.
        """
        ...


class JobLeases(Protocol):
    """For the conductor: keep what it has claimed."""

    def extend(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim]:
        """Hold the jobs from now on for `lease`, all at once.

        A lease that ran out is extended, too, unless the job was claimed again. Return the claims that are lost. Raises
        StoreUnavailable, soon, if some leases could not be extended; the others are extended nevertheless.
        """
        ...

    def steering(self, claims: Sequence[Claim]) -> Mapping[Claim, Steering]:
        """Return what operators want of these jobs. A claim that is lost is left out. Waits for no lock.

        A request to cancel the job comes before one to pause it.
        """
        ...


class JobPurge(Protocol):
    """For the operator: remove the record of jobs that ended long ago."""

    def count_ended(self, before: timedelta) -> int:
        """Return how many jobs ended that long ago or earlier, by the store's clock."""
        ...

    def purge(self, before: timedelta, limit: int) -> int:
        """Remove up to `limit` of these jobs with their tasks; return how many. 0 means that none is left.

        A job that has not ended is never removed. After a lost confirmation the number may be too small.
        """
        ...


class ProgressLog(Protocol):
    """For the receivers of the hosts' reports: how far the tasks are."""

    def note(self, progress: Sequence[TaskProgress]) -> None:
        """Store the latest report on each of these tasks, without waiting for a conductor that holds the job.

        A report is ignored if its task does not run, or runs in another cell. Not fenced by a claim: it says what the
        host does, whichever claim asked the host. No row stays locked while the caller is halted.
        """
        ...
