"""The tasks of a job by site, and the slowest of those that run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nsmallest

from precache.cli.wait.snapshot import TaskView


@dataclass(slots=True)
class TaskSums:
    """The sums over some tasks. rate_bytes_per_s: of the tasks whose rate is known."""

    tasks: int = 0
    ended: int = 0
    failed: int = 0
    running: int = 0
    bytes_done: int = 0
    rate_bytes_per_s: int = 0

    def add(self, task: TaskView) -> None:
        self.tasks += 1
        self.ended += task.outcome is not None
        self.failed += task.is_failure
        self.running += task.is_running
        self.bytes_done += task.bytes_done
        self.rate_bytes_per_s += (task.rate_bytes_per_s or 0) if task.is_running else 0


def by_site(tasks: Iterable[TaskView], site_of: Callable[[TaskView], str]) -> dict[str, TaskSums]:
    """Return the groups by the names of their sites: those with most failures first, then with most left to do."""
    groups: dict[str, TaskSums] = defaultdict(TaskSums)
    for task in tasks:
        groups[site_of(task)].add(task)
    return dict(sorted(groups.items(), key=_worst_first))


def slowest(tasks: Iterable[TaskView], most: int) -> list[TaskView]:
    """Return the running tasks with the lowest rates; one without a rate counts as 0, and the oldest comes first.

    A task that waits on its host for its turn, or is done there, comes after those that download.
    """

    def speed(task: TaskView) -> tuple[bool, int, str]:
        return task.phase in ("waiting", "done"), task.rate_bytes_per_s or 0, task.started_at

    return nsmallest(most, (task for task in tasks if task.is_running), key=speed)


def _worst_first(group: tuple[str, TaskSums]) -> tuple[int, int, str]:
    name, of_site = group
    return -of_site.failed, of_site.ended - of_site.tasks, name
