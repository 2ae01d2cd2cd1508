"""The state of a task after it is started, put back or ended. All stores use these functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from precache.core.bytes_from import NO_BYTES, BytesFrom
from precache.core.errors import TaskNotFound
from precache.core.images import ImageId
from precache.core.jobs import (
    HostAsked,
    HostEnded,
    JobStep,
    Phase,
    Task,
    TaskProgress,
    TaskResult,
    TaskState,
    check_task_transition,
)
from precache.rules.transfer_rate import measured_rate

_NO_REPORT: dict[str, Any] = {"reported_at": None, "rate_bytes_per_s": None}


def after(of_host: Mapping[ImageId, Task], step: JobStep, job_id: str) -> dict[ImageId, Task]:
    """Return all tasks of the step's host, by image, as they are after the step.

    Raises TaskNotFound if the job has no such image for the host, IllegalTransition.
    """
    tasks = dict(of_host)
    try:
        if isinstance(step, HostAsked):
            for image in dict.fromkeys(step.images):
                tasks[image] = started(tasks[image], step.cell, step.at)
        elif isinstance(step, HostEnded):
            for result in step.results:
                tasks[result.image] = ended(tasks[result.image], result, step.at)
        else:
            for image, bytes_kept in step.bytes_kept.items():
                tasks[image] = tried_again(tasks[image], bytes_kept, step.reason, is_failure=step.is_failure)
    except KeyError as error:
        raise TaskNotFound(job_id, step.host, error.args[0]) from None
    if step.cell:
        # The cell is the host's, so its other tasks get it too.
        for image, task in tasks.items():
            if task.cell != step.cell:
                tasks[image] = replace(task, cell=step.cell)
    return tasks


def started(task: Task, cell: str, now: datetime) -> Task:
    """Return the task as running from `now`, with one more attempt. Raises IllegalTransition if it runs already.

    Until its host reports, it shows what the host has kept.

    The same start counts once even if it is recorded twice, because a write whose confirmation was lost is repeated. A
    task that has ended, or whose last attempt began at the same instant, is unchanged.
    """
    if task.state is TaskState.ENDED or task.started_at == now:
        return task
    check_task_transition(task.state, TaskState.RUNNING)
    return replace(
        task,
        cell=cell,
        state=TaskState.RUNNING,
        phase=Phase.WAITING,
        attempts=task.attempts + 1,
        started_at=now,
        **_NO_REPORT,
        **_earlier_sources(task),
    )


def progressed(task: Task, progress: TaskProgress, now: datetime) -> Task:
    """Return the task with its host's report; unchanged unless it runs, and in the cell that sent the report.

    now: by the store's clock, because the reports on one task may come through several conductors.
    """
    if task.state is not TaskState.RUNNING or task.cell != progress.cell:
        return task
    is_done = progress.phase is Phase.DONE
    return replace(
        task,
        phase=progress.phase,
        bytes_done=progress.bytes_done,
        # Of an image that has failed, the host only says how much it has received.
        bytes_total=max(task.bytes_total, progress.bytes_total) if is_done else progress.bytes_total,
        reported_at=now,
        rate_bytes_per_s=None if is_done else measured_rate(task, progress.bytes_done, now),
        parent=progress.parent or task.parent,
        **_sources(task, progress.bytes_from),
    )


def _sources(task: Task, of_attempt: BytesFrom | None) -> dict[str, Any]:
    """Return the fields that say from where the task's bytes came, also before a pause; none if that is not known."""
    if of_attempt is None:
        return {}
    together = task.earlier_bytes_from + of_attempt
    return {f"bytes_{source}": count for source, count in together.document().items()}


def _earlier_sources(task: Task) -> dict[str, Any]:
    """Return these fields without the present attempt: its host goes on with it, or begins another one."""
    return {
        "parent": None,
        "bytes_image_service": task.earlier_image_service,
        "bytes_hosts": task.earlier_hosts,
        "bytes_cache": task.earlier_cache,
    }


def after_reports(
    of_host: Mapping[ImageId, Task], reports: Iterable[TaskProgress], now: datetime
) -> dict[ImageId, Task]:
    """Return those tasks of a host that its reports change, as they are afterwards. The last report on an image counts.

    A host downloads one image of a job after the other and answers for all of them at the end. So an image that it no
    longer reports on, because the next one has begun, moves no bytes: its rate ends.
    """
    changed: dict[ImageId, Task] = {}
    for report in reports:
        task = of_host.get(report.image)
        if task is not None and (after := progressed(task, report, now)) is not task:
            changed[report.image] = after
    if changed:
        idle = {image: task for image, task in of_host.items() if image not in changed}
        changed |= {
            image: replace(task, rate_bytes_per_s=None)
            for image, task in idle.items()
            if task.rate_bytes_per_s is not None
        }
    return changed


def put_back(task: Task) -> Task:
    """Return a running task as waiting for another attempt, without the progress of this one.

    The host may still be at work for this attempt, and then reports all of it again.
    """
    check_task_transition(task.state, TaskState.WAITING)
    return replace(
        task,
        state=TaskState.WAITING,
        phase=Phase.WAITING,
        bytes_done=0,
        bytes_total=0,
        started_at=None,
        **_NO_REPORT,
        **_earlier_sources(task),
    )


def tried_again(task: Task, bytes_kept: int, reason: str, *, is_failure: bool) -> Task:
    """Return a running task as waiting for another attempt, with what its host has kept; others are unchanged.

    The start of the last attempt stays, so that the same steps can be recorded twice.
    """
    if task.state is not TaskState.RUNNING:
        return task
    # This attempt of the host has ended, so the next one counts from zero.
    earlier = {f"earlier_{source}": getattr(task, f"bytes_{source}") for source in NO_BYTES.document()}
    return replace(
        put_back(replace(task, **earlier)),
        bytes_done=bytes_kept,
        bytes_total=task.bytes_total,
        started_at=task.started_at,
        failures=task.failures + is_failure,
        reason=reason,
    )


def retried(task: Task) -> Task:
    """Return a task without success, of a job that an operator retries, as waiting for another attempt."""
    first = Task(task.job_id, task.host, task.cell, task.image, image_name=task.image_name)
    return replace(first, attempts=task.attempts)


def ended(task: Task, result: TaskResult, now: datetime) -> Task:
    """Return the task with its outcome; one that had ended keeps its first outcome.

    The host's own times are preferred. A host that died cannot report how much it had received, so after a failure the
    last progress counts if it is larger.
    """
    if task.state is TaskState.ENDED:
        return task
    check_task_transition(task.state, TaskState.ENDED)
    of_attempt = result.bytes_from
    if of_attempt is None and result.outcome.is_success and task.earlier_hosts is not None:
        of_attempt = BytesFrom(image_service=result.bytes_moved)  # the attempts before were by swarm, the last was not
    done = result.bytes_moved
    if of_attempt is not None and result.outcome.is_success:
        done += task.earlier_bytes_from.image_service + task.earlier_bytes_from.hosts
    if not result.outcome.is_success:
        done = max(done, task.bytes_done)
    return replace(
        task,
        state=TaskState.ENDED,
        outcome=result.outcome,
        bytes_done=done,
        # By swarm the total was that of the file, in which zeros and older pieces are not received.
        bytes_total=done if of_attempt is not None and result.outcome.is_success else max(task.bytes_total, done),
        reason=result.reason,
        started_at=result.started_at or task.started_at,
        finished_at=result.finished_at or now,
        decoded_by=result.decoded_by,
        **_NO_REPORT,
        **_sources(task, of_attempt),
    )
