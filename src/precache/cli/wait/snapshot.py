"""A job and its tasks at one moment. Unknown fields and values of a newer service are accepted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

from precache.cli.client import JsonObject
from precache.cli.printable import on_one_line
from precache.core.jobs import JobState, Outcome

_BEFORE_A_PAUSE = (JobState.QUEUED, JobState.RUNNING)
SUCCESSES = frozenset(str(outcome) for outcome in Outcome if outcome.is_success)


@dataclass(frozen=True, slots=True)
class TaskView:
    """One image on one host.

    outcome: None until it has ended. bytes_total: 0 while unknown. name: of the image, or its id.
    rate_bytes_per_s: None while unknown. started_at: as the service wrote it; empty before.
    """

    host: str = ""
    image: str = ""
    state: str = ""
    phase: str = ""
    outcome: str | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    reason: str = ""
    name: str = ""
    cell: str = ""
    rate_bytes_per_s: int | None = None
    started_at: str = ""

    @classmethod
    def of(cls, document: JsonObject) -> TaskView:
        """Return the task of a JSON object; a missing or null value becomes empty."""
        known = {name: document[name] for name in _TASK_FIELDS if document.get(name) is not None}
        return cls(**known | {"name": str(document.get("image_name") or document.get("image", ""))})

    @property
    def is_running(self) -> bool:
        return self.outcome is None and self.state == "running"

    @property
    def is_failure(self) -> bool:
        return self.outcome is not None and self.outcome not in SUCCESSES


_TASK_FIELDS = tuple(field.name for field in fields(TaskView))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """job, tasks: the service's JSON objects. views: the same tasks as TaskView.

    is_whole: whether these are all tasks. Of a large job they are the running and the first failed ones.
    """

    job: JsonObject
    tasks: list[JsonObject]
    is_whole: bool = True
    views: list[TaskView] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", [TaskView.of(task) for task in self.tasks])

    @property
    def id(self) -> str:
        return str(self.job.get("id", ""))

    @property
    def state(self) -> str:
        return str(self.job.get("state", ""))

    @property
    def standing(self) -> str:
        """Return the state, or that the job is being cancelled or paused."""
        if self.is_being_cancelled:
            return "being cancelled"
        is_being_paused = self.job.get("pause_requested_at") is not None and self.state in _BEFORE_A_PAUSE
        return "being paused" if is_being_paused else self.state

    @property
    def reason(self) -> str:
        """Return why the job waits, or how it ended, on one line; empty if the state says it all."""
        return on_one_line(str(self.job.get("reason") or ""))

    @property
    def is_being_cancelled(self) -> bool:
        return self.job.get("cancel_requested_at") is not None and not self.is_final

    @property
    def is_final(self) -> bool:
        try:
            return JobState(self.state).is_final
        except ValueError:  # a state of a newer service
            return self.job.get("finished_at") is not None

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks by outcome, in the order of `Outcome`."""
        found = Counter(self.job.get("counts") or {})
        if self.is_whole:  # and may have been read a moment after the job
            found = Counter(view.outcome for view in self.views if view.outcome)
        known = {str(outcome): found.pop(outcome) for outcome in Outcome if outcome in found}
        return known | {str(outcome): number for outcome, number in found.items()}

    @property
    def task_count(self) -> int:
        return len(self.views) if self.is_whole else int(self.job.get("task_count") or 0)

    @property
    def ended_count(self) -> int:
        return sum(self.counts.values())

    @property
    def failure_count(self) -> int:
        return sum(number for outcome, number in self.counts.items() if outcome not in SUCCESSES)

    @property
    def running(self) -> list[TaskView]:
        return [view for view in self.views if view.is_running]

    @property
    def failures(self) -> list[TaskView]:
        return [view for view in self.views if view.is_failure]
