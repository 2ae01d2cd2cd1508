"""Which jobs a list shows, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from precache.core.images import ImageId
from precache.core.jobs import Job, JobRequest, JobState
from precache.core.operations import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Selects jobs: those that have all given values.

    states, operations: any of these; empty for every state or operation.
    image, host: that the job is for. aggregate: the name or the id of one that the request named.
    since: created then or later. changed_since: created, started, stopped by a request, or ended then or later; and
    every job that runs.
    """

    states: frozenset[JobState] = frozenset()
    operations: frozenset[Operation] = frozenset()
    image: ImageId | None = None
    host: str | None = None
    aggregate: str | None = None
    name: str | None = None
    since: datetime | None = None
    changed_since: datetime | None = None

    @property
    def aggregate_id(self) -> int | None:
        """Return the aggregate as an id, if it can be one."""
        text = self.aggregate
        return int(text) if text is not None and text.isdecimal() and len(text) <= _DIGITS_OF_AN_ID else None

    def matches(self, job: Job, hosts: Collection[str]) -> bool:
        """Return whether the filter selects the job. hosts: all hosts of the job."""
        return (
            (not self.states or job.state in self.states)
            and (not self.operations or job.operation in self.operations)
            and self.image in (None, *job.images)
            and (self.host is None or self.host in hosts)
            and (
                self.aggregate in (None, *aggregate_names(job))
                or (job.is_for_one_aggregate and job.aggregate_id == self.aggregate_id)
            )
            and self.name in (None, job.name)
            and (self.since is None or job.created_at >= self.since)
            and (self.changed_since is None or _is_changed(job, self.changed_since))
        )


_DIGITS_OF_AN_ID = 9

EVERY_JOB = JobFilter()


class JobSortKey(StrEnum):
    """What a list of jobs is sorted by. A state comes by its word; a job that has not ended counts as the last end."""

    CREATED_AT = "created_at"
    PRIORITY = "priority"
    STATE = "state"
    FINISHED_AT = "finished_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSort:
    """The order of a list. Jobs with the same value come in the order in which they were stored, or its reverse."""

    key: JobSortKey = JobSortKey.CREATED_AT
    is_descending: bool = True


NEWEST_FIRST = JobSort()


def aggregate_names(job: JobRequest) -> tuple[str, ...]:
    """Return the names of the aggregates that the request named."""
    own = (job.aggregate_name,) if job.is_for_one_aggregate else ()
    return tuple(dict.fromkeys((*own, *job.target.aggregates)))


def _is_changed(job: Job, since: datetime) -> bool:
    times = (job.created_at, job.started_at, job.finished_at, job.cancel_requested_at, job.pause_requested_at)
    return job.state is JobState.RUNNING or any(at is not None and at >= since for at in times)
