"""Jobs, their tasks, and the only ways in which their states may change.

A job is one accepted request: images x hosts. A task is one image on one host within a job. How a task ended
is its outcome; how a job ended follows from the outcomes of its tasks (`rules/verdict.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from precache.core.bytes_from import BytesFrom
from precache.core.errors import IllegalTransition
from precache.core.idempotency import IdempotencyKey
from precache.core.images import ImageId
from precache.core.job_options import DEFAULT_JOB_OPTIONS, JobOptions
from precache.core.job_progress import NO_TASKS, ImageProgress, Progress, seconds_left
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, first_orders
from precache.core.targets import NO_TARGET, Target
from precache.core.text import plain_line

DECODED_BY_LENGTH = 255
"""The most characters of `decoded_by`."""


class JobState(StrEnum):
    """The states of a job.

    WAITING: for its window, for the time before which it may not begin, or for hosts that are down.
    PAUSED: by an operator, until it is resumed.
    EXPIRED: its deadline passed before all tasks had ended.
    """

    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset(
    {JobState.SUCCEEDED, JobState.PARTLY_FAILED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
)

_BEFORE_A_RUN = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PAUSED, JobState.RUNNING, JobState.CANCELLED})

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: _BEFORE_A_RUN - {JobState.QUEUED},
    # Running: a conductor has found that it is due.
    JobState.WAITING: _BEFORE_A_RUN - {JobState.WAITING},
    JobState.PAUSED: _BEFORE_A_RUN - {JobState.PAUSED},
    # Back to queued: the conductor stopped, or died and its lease expired; another one continues the job.
    JobState.RUNNING: FINAL_STATES | {JobState.QUEUED, JobState.WAITING, JobState.PAUSED},
    # An operator has the tasks that were no success tried again.
    JobState.SUCCEEDED: frozenset(),
    JobState.PARTLY_FAILED: frozenset({JobState.QUEUED}),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
    JobState.EXPIRED: frozenset({JobState.QUEUED}),
}


class TaskState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset({TaskState.RUNNING, TaskState.ENDED}),
    # Back to waiting: the host is called again, by the next conductor, after a pause or after a failure that may pass.
    TaskState.RUNNING: frozenset({TaskState.WAITING, TaskState.ENDED}),
    TaskState.ENDED: frozenset(),
}


class Outcome(StrEnum):
    """How a task ended: Nova's five values, one for a cancelled task, one for a deadline that passed; and those of the
    other operations.

    INTACT, CORRUPT, UNVERIFIABLE: the entry is, or is not, as its record says; or there is nothing to compare with.
    PURGED: the entry was removed. IN_USE: it was not, because disks stand on it, or other hosts receive it from there.
    ABSENT: there was no entry to verify, purge or unpin.
    """

    CACHED = "cached"
    EXISTING = "existing"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INTACT = "intact"
    CORRUPT = "corrupt"
    UNVERIFIABLE = "unverifiable"
    PURGED = "purged"
    ABSENT = "absent"
    IN_USE = "in_use"
    PINNED = "pinned"
    UNPINNED = "unpinned"

    @property
    def is_success(self) -> bool:
        return self in SUCCESSES


SUCCESSES = frozenset(
    {
        Outcome.CACHED,
        Outcome.EXISTING,
        Outcome.INTACT,
        Outcome.UNVERIFIABLE,
        Outcome.PURGED,
        Outcome.ABSENT,
        Outcome.PINNED,
        Outcome.UNPINNED,
    }
)


class Phase(StrEnum):
    """What a host does for a running task. DONE: it has ended for this image, and answers when it has ended for all."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    CONVERTING = "converting"
    PUBLISHING = "publishing"
    VERIFYING = "verifying"
    DONE = "done"


def check_job_transition(old: JobState, new: JobState) -> None:
    """Raise IllegalTransition unless a job may go from `old` to `new`."""
    if new not in JOB_TRANSITIONS[old]:
        raise IllegalTransition("A job", old, new)


def check_task_transition(old: TaskState, new: TaskState) -> None:
    """Raise IllegalTransition unless a task may go from `old` to `new`."""
    if new not in TASK_TRANSITIONS[old]:
        raise IllegalTransition("A task", old, new)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """The fields of a job that the request sets. Only the orders' rate limit and the options may be changed later.

    name: given by the caller; None if the job has none.
    target: what the request named. A job for anything but one aggregate has empty fields of the aggregate.
    aggregate_metadata: of the aggregate, as it was at the request; empty in jobs of older releases.
    image_names: of the images that have one.
    image_sizes: in bytes, of the images whose size was known.
    for_host: the host of a job for one host; None in every other job.
    """

    id: str
    operation: Operation = Operation.CACHE
    name: str | None = None
    target: Target = NO_TARGET
    aggregate_id: int = 0
    aggregate_uuid: str = ""
    aggregate_name: str = ""
    aggregate_metadata: Mapping[str, str] = field(default_factory=dict)
    for_host: str | None = None
    orders: tuple[ImageOrder, ...]
    options: JobOptions = DEFAULT_JOB_OPTIONS
    image_names: Mapping[ImageId, str] = field(default_factory=dict)
    image_sizes: Mapping[ImageId, int] = field(default_factory=dict)
    requested_by: str
    request_id: str
    created_at: datetime

    @property
    def is_for_one_aggregate(self) -> bool:
        return self.aggregate_id != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob(JobRequest):
    """A request that has passed every check and is ready to be stored. Its tasks are `hosts` x `orders`.

    idempotency_key: None if the client sent none.
    due_at, reason: when a job that has to wait may begin, and what it waits for; None for a job that may begin now.
    """

    hosts: tuple[str, ...]
    idempotency_key: IdempotencyKey | None = None
    due_at: datetime | None = None
    reason: str = ""

    def accepted(self) -> Job:
        """Return the queued or waiting job. Hosts and images that are named twice count once."""
        request = {field.name: getattr(self, field.name) for field in fields(JobRequest)}
        orders = first_orders(self.orders)
        return Job(
            **request | {"orders": orders},
            state=JobState.QUEUED if self.due_at is None else JobState.WAITING,
            due_at=self.due_at,
            reason=self.reason,
            task_count=len(set(self.hosts)) * len(orders),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to change a job: it ends when the job is claimed again, even by the same owner.

    token: the fencing token, a number that grows with every claim of the job.
    """

    job_id: str
    owner: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobRequest):
    """A stored job.

    counts: number of tasks by outcome; a task that has not ended is counted nowhere.
    progress, by_image: of all tasks, and of those of each image.
    lease_owner, lease_until: the conductor that works on it, and the time until which it counts as alive.
    lease_token: the number of the last claim; it grows with every claim of this job.
    stopped_token: the last claim at whose end no host worked for the job.
    cancel_requested_at: the time of the first request to cancel the job; None if there was none.
    pause_requested_at: the same for a request to pause it; None again after it was resumed.
    due_at: when a conductor has to look at the waiting or paused job; None for never.
    retry_count: how often an operator had the job tried again.
    revision: grows with every change of the options and orders.
    reason: why the job waits, or how it ended, for the operator; empty if the state is sufficient.
    """

    state: JobState = JobState.QUEUED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = None
    lease_token: int = 0
    stopped_token: int = 0
    cancel_requested_at: datetime | None = None
    pause_requested_at: datetime | None = None
    due_at: datetime | None = None
    retry_count: int = 0
    revision: int = 0
    reason: str = ""
    task_count: int
    counts: Mapping[Outcome, int] = field(default_factory=dict)
    progress: Progress = NO_TASKS
    by_image: tuple[ImageProgress, ...] = ()

    @property
    def images(self) -> tuple[ImageId, ...]:
        return tuple(order.image for order in self.orders)

    @property
    def may_have_calls(self) -> bool:
        """Return whether a host that a conductor called under an earlier claim may still work for the job."""
        return self.lease_token > self.stopped_token + 1

    @property
    def claim(self) -> Claim:
        """Return the claim with which the current owner changes the job. Raises ValueError if the job has no owner."""
        if self.lease_owner is None:
            raise ValueError(f"job {self.id} has no owner")
        return Claim(self.id, self.lease_owner, self.lease_token)


@dataclass(frozen=True, slots=True)
class Task:
    """One image on one host within a job.

    phase: valid while the task runs; afterwards the last reported one.
    bytes_done, bytes_total: of the download; total is 0 until the size is known.
    attempts: how often the host was called; more than one after a pause or a failure, or after a conductor died.
    failures: how many attempts failed and were followed by another one.
    reason: for the operator; empty if the outcome is sufficient.
    image_name: as it was at the request; None if the image had none, or if an older release stored the job.
    reported_at: when the last report on the running task was stored; None if there was none in this attempt.
    rate_bytes_per_s: measured from these reports; None if unknown.
    parent: of a task by swarm, the host from which it receives the image, or received it last; None if there was none.
    bytes_image_service, bytes_hosts, bytes_cache: of a task by swarm, as of `BytesFrom`; None of others.
    earlier_image_service, earlier_hosts, earlier_cache: the part of these that attempts before this one received, up to
        a pause or a failure; None if there was none.
    decoded_by: what has made the raw disk of the image: `stream`, `qemu-img` or `qemu-img (REASON)`; empty if nothing
        was decoded, as for an image that was there, came from another host, or is kept as it is.
    """

    job_id: str
    host: str
    cell: str | None
    image: ImageId
    state: TaskState = TaskState.WAITING
    outcome: Outcome | None = None
    phase: Phase = Phase.WAITING
    bytes_done: int = 0
    bytes_total: int = 0
    attempts: int = 0
    failures: int = 0
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    image_name: str | None = None
    reported_at: datetime | None = None
    rate_bytes_per_s: int | None = None
    parent: str | None = None
    bytes_image_service: int | None = None
    bytes_hosts: int | None = None
    bytes_cache: int | None = None
    earlier_image_service: int | None = None
    earlier_hosts: int | None = None
    earlier_cache: int | None = None
    decoded_by: str = ""

    @property
    def bytes_from(self) -> BytesFrom:
        """Return from where the bytes came: without other knowledge from the image service."""
        if self.bytes_hosts is None:
            return BytesFrom(image_service=self.bytes_done)
        return BytesFrom(
            image_service=self.bytes_image_service or 0, hosts=self.bytes_hosts, cache=self.bytes_cache or 0
        )

    @property
    def earlier_bytes_from(self) -> BytesFrom:
        """Return from where the bytes of attempts before this one came, as far as their hosts have reported it."""
        return BytesFrom(
            image_service=self.earlier_image_service or 0,
            hosts=self.earlier_hosts or 0,
            cache=self.earlier_cache or 0,
        )

    @property
    def eta_s(self) -> int | None:
        """Return the estimated seconds until the last byte at this rate; None if unknown."""
        return seconds_left(self.bytes_total - self.bytes_done, self.rate_bytes_per_s)


TaskPlace = tuple[int, int]
"""The positions of a task's host and of its image in the request: a name for the task that is small and sorts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Selects tasks of a job: those that have all given values.

    outcomes: any of these; empty for tasks with any outcome or none. has_reason: whether there is a reason.
    """

    host: str | None = None
    cell: str | None = None
    image: ImageId | None = None
    state: TaskState | None = None
    outcomes: frozenset[Outcome] = frozenset()
    has_reason: bool | None = None

    def matches(self, task: Task) -> bool:
        return (
            self.host in (None, task.host)
            and self.cell in (None, task.cell)
            and self.image in (None, task.image)
            and self.state in (None, task.state)
            and (not self.outcomes or task.outcome in self.outcomes)
            and self.has_reason in (None, bool(task.reason))
        )


EVERY_TASK = TaskFilter()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A host's result for one image.

    bytes_moved: received from the network, also before a pause; 0 for `existing`.
    reason: any text; it is converted to one line that can be stored and sent.
    may_pass: another attempt may succeed.
    bytes_from: of a task by swarm, from where the bytes came; None of others.
    decoded_by: as of `Task`; any text, which is converted as `reason` is.
    """

    image: ImageId
    outcome: Outcome
    bytes_moved: int = 0
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    may_pass: bool = False
    bytes_from: BytesFrom | None = None
    decoded_by: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", plain_line(self.reason))
        object.__setattr__(self, "decoded_by", plain_line(self.decoded_by, DECODED_BY_LENGTH))


@dataclass(frozen=True, slots=True)
class TaskPaused:
    """A host's result for an image whose download was paused.

    bytes_kept: received, and kept on the host for the next attempt.
    """

    image: ImageId
    bytes_kept: int = 0


@dataclass(frozen=True, slots=True)
class HostAsked:
    """A step of a job: the host was called for these images, whose tasks now run."""

    host: str
    cell: str
    images: tuple[ImageId, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class HostEnded:
    """A step of a job: these tasks of the host have ended.

    cell: of the host; empty if it is not known, or known by an earlier step.
    """

    host: str
    results: tuple[TaskResult, ...]
    at: datetime
    cell: str = ""


@dataclass(frozen=True, slots=True)
class HostPutBack:
    """A step of a job: these tasks of the host wait for another attempt.

    bytes_kept: of each image, what the host has kept of its download.
    is_failure: the attempt failed, for `reason`; otherwise it was paused.
    """

    host: str
    bytes_kept: Mapping[ImageId, int]
    at: datetime
    is_failure: bool = False
    reason: str = ""
    cell: str = ""


JobStep = HostAsked | HostEnded | HostPutBack


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far a host is with one image. bytes_total is 0 while unknown.

    cell: as in a heartbeat: empty from a compute on a bus; the receiver knows the cell.
    parent, bytes_from: of a task by swarm: from which host it receives the image, empty if from none, and from where
        its bytes came until now. None of others.
    """

    job_id: str
    host: str
    image: ImageId
    phase: Phase
    bytes_done: int
    bytes_total: int
    cell: str = ""
    parent: str = ""
    bytes_from: BytesFrom | None = None
