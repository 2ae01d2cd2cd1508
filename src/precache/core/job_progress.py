"""How far a job, or a part of it, is: sums over its tasks. `rules/job_progress.py` computes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from precache.core.bytes_from import NO_BYTES, BytesFrom
from precache.core.images import ImageId

if TYPE_CHECKING:
    from precache.core.jobs import Outcome, TaskState


@dataclass(frozen=True, slots=True)
class TaskSum:
    """The tasks of one image of a job that have the same standing.

    standing: the outcome, or the state of tasks that have not ended.
    bytes_done, bytes_total: the sums of theirs. without_total: the number of tasks whose total is not known.
    rate_bytes_per_s: the sum of the rates that are known; None if none is.
    bytes_from: from where the bytes came.
    """

    image: ImageId
    standing: TaskState | Outcome
    tasks: int
    bytes_done: int = 0
    bytes_total: int = 0
    without_total: int = 0
    rate_bytes_per_s: int | None = None
    bytes_from: BytesFrom = NO_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The sums over some tasks.

    task_states: the number of tasks by state. counts: of the ended ones by outcome. What no task has is missing.
    bytes_done, bytes_total: of their downloads. bytes_left: of the downloads of tasks that have not ended. An image
    that turns out to be in the cache already needs no download, so total and left may become smaller. Both are None
    while the size of an image is not known.
    rate_bytes_per_s: measured from the last reports of the running tasks; None if there is no recent one.
    bytes_from: from where the bytes came.
    """

    task_states: Mapping[TaskState, int] = field(default_factory=dict)
    counts: Mapping[Outcome, int] = field(default_factory=dict)
    bytes_done: int = 0
    bytes_total: int | None = 0
    bytes_left: int | None = 0
    rate_bytes_per_s: int | None = None
    bytes_from: BytesFrom = NO_BYTES

    @property
    def eta_s(self) -> int | None:
        """Return the estimated seconds until the last byte at this rate; None if unknown."""
        return seconds_left(self.bytes_left, self.rate_bytes_per_s)


NO_TASKS = Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProgress:
    """The tasks of one image of a job. size_bytes: as it was at the request; None if it was not known."""

    image: ImageId
    size_bytes: int | None
    progress: Progress


def seconds_left(bytes_left: int | None, rate_bytes_per_s: int | None) -> int | None:
    """Return the seconds for these bytes at this rate, rounded up; None if one is unknown or 0."""
    if not bytes_left or not rate_bytes_per_s:
        return None
    return math.ceil(bytes_left / rate_bytes_per_s)
