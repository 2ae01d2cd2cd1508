"""Finds what changed in a job between two looks at it, without reading all of its tasks each time.

The caller reads the running tasks of the job, and then those that this file names: tasks that ran before and do not any
more, and tasks of an outcome whose count differs from the number of known tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from precache.core.jobs import Outcome, Task, TaskPlace, TaskState


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task as it was seen last, and as it is now. before: None if it was not seen running before."""

    before: Task | None
    after: Task


class SeenTasks:
    """The tasks of one job that were seen running, and the places of those that had ended. Not thread-safe.

    running: the running tasks at the first look. ended: the places of the ended tasks at the first look, by outcome.
    """

    def __init__(self, running: Mapping[TaskPlace, Task], ended: Mapping[Outcome, Collection[TaskPlace]]) -> None:
        self._running = dict(running)
        self._ended = {outcome: set(ended.get(outcome, ())) for outcome in Outcome}

    @property
    def running(self) -> list[Task]:
        """Return the running tasks, in the order of the request."""
        return [self._running[place] for place in sorted(self._running)]

    def stopped(self, running: Mapping[TaskPlace, Task]) -> set[TaskPlace]:
        """Return the places of the tasks that ran at the last look and are not among `running`."""
        return self._running.keys() - running.keys()

    def miscounted(self, counts: Mapping[Outcome, int]) -> list[Outcome]:
        """Return the outcomes of which another number of tasks is known than `counts` has."""
        return [outcome for outcome, known in self._ended.items() if len(known) != counts.get(outcome, 0)]

    def differing(self, ended: Mapping[Outcome, Collection[TaskPlace]]) -> set[TaskPlace]:
        """Return the places that are known with one of these outcomes and are not in `ended` so, or the reverse."""
        return set[TaskPlace]().union(*(self._ended[outcome] ^ set(places) for outcome, places in ended.items()))

    def update(self, tasks: Mapping[TaskPlace, Task]) -> list[TaskChange]:
        """Return the changes of these tasks since they were seen last, in the order of the request; remember the tasks.

        tasks: as they are now, whatever their state. A task of which nothing changed makes no change.
        """
        changes = []
        for place in sorted(tasks):
            before, after = self._running.get(place), tasks[place]
            if before == after or self._has_ended_so(place, after):
                continue
            self._remember(place, after)
            changes.append(TaskChange(before, after))
        return changes

    def _has_ended_so(self, place: TaskPlace, task: Task) -> bool:
        return task.outcome is not None and place in self._ended[task.outcome]

    def _remember(self, place: TaskPlace, task: Task) -> None:
        self._running.pop(place, None)
        for places in self._ended.values():
            places.discard(place)
        if task.outcome is not None:
            self._ended[task.outcome].add(place)
        elif task.state is TaskState.RUNNING:
            self._running[place] = task
