"""The hosts of a job: how far each of them is, and which of them a list shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from precache.core.images import ImageId
from precache.core.job_progress import Progress
from precache.core.jobs import Outcome, Phase, Task, TaskState


class HostTask(NamedTuple):
    """What the progress of a host needs of one of its tasks. A tuple, because a page may need ten thousand of them."""

    image: ImageId
    state: TaskState
    outcome: Outcome | None
    phase: Phase
    bytes_done: int
    bytes_total: int
    attempts: int
    reason: str
    rate_bytes_per_s: int | None
    reported_at: datetime | None

    @classmethod
    def of(cls, task: Task) -> HostTask:
        return cls(*(getattr(task, field) for field in cls._fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProgress:
    """The tasks of one host of a job.

    cell, site: of the host; None if they are not known.
    state: running if one of its tasks runs, ended if all have ended, else waiting.
    image, phase: of the running task on which it has reported last, or else of the first one; None if no task runs.
    attempts: the most of any of its tasks. reason: the first one of any of its tasks; empty if there is none.
    """

    host: str
    cell: str | None
    site: str | None
    state: TaskState
    image: ImageId | None
    phase: Phase | None
    attempts: int
    reason: str
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHostFilter:
    """Selects hosts of a job: those that have all given values."""

    cell: str | None = None
    site: str | None = None
    state: TaskState | None = None

    def matches(self, host: HostProgress) -> bool:
        return self.cell in (None, host.cell) and self.site in (None, host.site) and self.state in (None, host.state)


EVERY_HOST = JobHostFilter()
