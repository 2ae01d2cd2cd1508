"""What a task becomes when it is started, put back or ended. Every store follows these, so that all agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from precache.core.jobs import Phase, Task, TaskResult, TaskState, check_task_transition


def started(task: Task, cell: str, now: datetime) -> Task:
    """Give the task as it runs from `now`, with one attempt more. Raises IllegalTransition unless it waits."""
    check_task_transition(task.state, TaskState.RUNNING)
    return replace(
        task,
        cell=cell,
        state=TaskState.RUNNING,
        phase=Phase.WAITING,
        bytes_done=0,
        bytes_total=0,
        attempts=task.attempts + 1,
        started_at=now,
    )


def put_back(task: Task) -> Task:
    """Give a running task as it waits to be asked for again; what was heard of its progress is void."""
    check_task_transition(task.state, TaskState.WAITING)
    return replace(task, state=TaskState.WAITING, phase=Phase.WAITING, bytes_done=0, bytes_total=0, started_at=None)


def ended(task: Task, result: TaskResult, now: datetime) -> Task:
    """Give the task with its outcome; one that had ended keeps its first outcome.

    The host's own times are preferred to ours. A host that died cannot say how much it had received: after
    a failure the last progress stands, where it was further.
    """
    if task.state is TaskState.ENDED:
        return task
    check_task_transition(task.state, TaskState.ENDED)
    done = result.bytes_moved
    if not result.outcome.is_success:
        done = max(done, task.bytes_done)
    return replace(
        task,
        state=TaskState.ENDED,
        outcome=result.outcome,
        bytes_done=done,
        bytes_total=max(task.bytes_total, done),
        reason=result.reason,
        started_at=result.started_at or task.started_at,
        finished_at=result.finished_at or now,
    )
