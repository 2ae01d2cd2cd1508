"""What becomes of the tasks of a host after its answer: they end, or they are put back for another call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from precache.core.images import ImageId
from precache.core.jobs import HostEnded, HostPutBack, JobStep, Outcome, TaskPaused, TaskResult


def steps_of_answer(
    host: str,
    answers: Sequence[TaskResult | TaskPaused],
    at: datetime,
    *,
    cell: str = "",
    failures: Mapping[ImageId, int],
    retries: int,
    rest_ends_as: Outcome | None = None,
) -> list[JobStep]:
    """Return the steps that store the host's answers, at most one of each image.

    A paused image is put back. So is a failure that may pass, while the task has failed less than `retries` times.

    failures: how often the task of each image has failed and was put back; those that are missing have never failed.
    rest_ends_as: how the unfinished tasks of the job end, if it is being stopped and does not continue. Then nothing is
        put back, and what the host calls cancelled ends so, too.
    """
    ended: list[TaskResult] = []
    kept: dict[ImageId, int] = {}
    failed: dict[str, list[ImageId]] = {}
    for answer in answers:
        if isinstance(answer, TaskPaused):
            if rest_ends_as is None:
                kept[answer.image] = answer.bytes_kept
            else:
                ended.append(TaskResult(answer.image, rest_ends_as, bytes_moved=answer.bytes_kept))
        elif rest_ends_as is not None and answer.outcome is Outcome.CANCELLED:
            ended.append(replace(answer, outcome=rest_ends_as))
        elif rest_ends_as is None and answer.may_pass and failures.get(answer.image, 0) < retries:
            failed.setdefault(answer.reason, []).append(answer.image)
        else:
            ended.append(answer)
    steps: list[JobStep] = []
    if ended:
        steps.append(HostEnded(host, tuple(ended), at, cell))
    if kept:
        steps.append(HostPutBack(host, kept, at))
    for reason, images in failed.items():
        steps.append(HostPutBack(host, dict.fromkeys(images, 0), at, is_failure=True, reason=reason))
    return steps
