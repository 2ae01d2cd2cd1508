"""A job as its events have told of it. Nothing here waits or writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from precache.cli.client import JsonObject
from precache.cli.client.events import ServerEvent
from precache.cli.client.jobs import Jobs
from precache.cli.wait.follow import first_failures
from precache.cli.wait.snapshot import Snapshot, TaskView

MOST_TASKS = 20_000
"""Of a larger job only the tasks of which something is heard are known: to read all would take many seconds."""

_CHANGES = 20


@dataclass(frozen=True, slots=True)
class LastChange:
    """A task that began or ended, and when that was heard."""

    at: datetime
    task: TaskView


class JobModel:
    """The job, and its tasks by host and image.

    is_whole: whether all tasks are known. changes: what began or ended last, the newest first.
    """

    def __init__(self) -> None:
        self.job: JsonObject = {}
        self.is_whole = False
        self.changes: deque[LastChange] = deque(maxlen=_CHANGES)
        self._documents: dict[tuple[str, str], JsonObject] = {}
        self._views: dict[tuple[str, str], TaskView] = {}

    @property
    def tasks(self) -> Iterable[TaskView]:
        return self._views.values()

    def load(self, jobs: Jobs, snapshot: ServerEvent) -> None:
        """Begin with the snapshot, and read the tasks that it lacks. Raises the service's errors."""
        job, tasks = snapshot.data.get("job") or {}, snapshot.data.get("tasks") or []
        is_whole = int(job.get("task_count") or 0) <= MOST_TASKS
        job_id = str(job.get("id", ""))
        if is_whole:
            tasks = [*tasks, *jobs.tasks(job_id)]
        else:
            tasks = [*tasks, *first_failures(jobs, job_id, job.get("counts") or {})]
        self.replace(job, tasks, is_whole=is_whole)

    def replace(self, job: JsonObject, tasks: Iterable[JsonObject], *, is_whole: bool) -> None:
        """Know only this."""
        self.job, self.is_whole = dict(job), is_whole
        self._documents = {_key(task): task for task in tasks}
        self._views = {key: TaskView.of(task) for key, task in self._documents.items()}

    def apply(self, event: ServerEvent, now: datetime) -> None:
        """Take over what an event tells; one that is not known changes nothing."""
        if event.name == "task":
            self._change_task(event.data, now)
        elif event.name in ("job", "end"):
            self.job = self.job | event.data | {"by_image": self._by_image(event.data.get("by_image") or [])}

    def snapshot(self) -> Snapshot:
        """Return what the views of `--wait` show for a large job: its counts, and its running and failed tasks."""
        wanted = (key for key, view in self._views.items() if view.is_running or view.is_failure)
        return Snapshot(job=self.job, tasks=[self._documents[key] for key in wanted], is_whole=False)

    def _change_task(self, data: JsonObject, now: datetime) -> None:
        key = _key(data)
        before = self._views.get(key)
        self._documents[key] = self._documents.get(key, {}) | data
        after = self._views[key] = TaskView.of(self._documents[key])
        if before is None or (before.state, before.outcome) != (after.state, after.outcome):
            self.changes.appendleft(LastChange(now, after))

    def _by_image(self, changed: list[JsonObject]) -> list[JsonObject]:
        by_image = {image.get("image"): image for image in [*(self.job.get("by_image") or []), *changed]}
        return list(by_image.values())


def _key(task: JsonObject) -> tuple[str, str]:
    return str(task.get("host", "")), str(task.get("image", ""))
