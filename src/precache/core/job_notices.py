"""Notices: what became of a job, each stored with the change of its state, until it has been sent to all who listen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from precache.core.jobs import Job, JobState

_PREFIX = "precache.job."


class JobEvent(StrEnum):
    """What a notice tells: the state that the job got, or that an operator has it retried, which queues it."""

    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    RETRIED = "retried"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @classmethod
    def of(cls, old: JobState | None, new: JobState) -> JobEvent:
        """Return the event of a change. old: None for a new job."""
        return cls.RETRIED if old is not None and old.is_final else cls(new.value)

    @property
    def type(self) -> str:
        """Return the type of the notification, such as `precache.job.queued`."""
        return _PREFIX + self.value

    @property
    def state(self) -> JobState:
        """Return the state of the job after the event."""
        return JobState.QUEUED if self is JobEvent.RETRIED else JobState(self.value)


@dataclass(frozen=True, slots=True)
class JobNotice:
    """One change of the state of a job.

    number: grows with the notices of one store; a notice that is sent twice has the same one.
    job: as it is when the notice is read, which may be later than `at`.
    reason: why it waits or how it ended; empty if there is nothing to say.
    has_deliveries: whether its deliveries to URLs, if any, have been stored.
    old_state, old_reason: of the job before; None and empty for a new job.
    age: since it was stored.
    """

    number: int
    job: Job
    event: JobEvent
    at: datetime
    reason: str = ""
    has_deliveries: bool = False
    old_state: JobState | None = None
    old_reason: str = ""
    age: timedelta = timedelta()

    @property
    def id(self) -> str:
        """Return the text by which a receiver knows that a notice has come twice."""
        return notice_id(self.job.id, self.number)


def notice_id(job_id: str, number: int) -> str:
    return f"{job_id}-{number}"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A notice that is to be sent to a URL. notice: its number. body: what is sent, the same at each attempt."""

    notice: int
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery. id, event: of its notice. attempts: how many have failed. age: since it was stored."""

    number: int
    id: str
    event: JobEvent
    url: str
    body: str
    attempts: int
    age: timedelta
