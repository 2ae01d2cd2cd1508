"""The progress of a job, of its images and of its hosts, from sums over the tasks. All stores use these functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from precache.core.bytes_from import NO_BYTES
from precache.core.images import ImageId
from precache.core.job_hosts import HostProgress, HostTask
from precache.core.job_progress import ImageProgress, Progress, TaskSum
from precache.core.jobs import Outcome, Phase, Task, TaskState


def sum_tasks(tasks: Iterable[Task]) -> list[TaskSum]:
    """Return the sums over the tasks, by image and standing."""
    groups: defaultdict[tuple[ImageId, TaskState | Outcome], list[Task]] = defaultdict(list)
    for task in tasks:
        groups[task.image, task.outcome or task.state].append(task)
    return [_sum(image, standing, group) for (image, standing), group in groups.items()]


def progress_by_image(
    images: Iterable[ImageId], sizes: Mapping[ImageId, int], sums: Iterable[TaskSum]
) -> tuple[ImageProgress, ...]:
    """Return the progress of each image, in their order. sizes: of the images whose size is known."""
    of_image: defaultdict[ImageId, list[TaskSum]] = defaultdict(list)
    for each in sums:
        of_image[each.image].append(each)
    return tuple(
        ImageProgress(
            image=image,
            size_bytes=sizes.get(image),
            progress=add_up([_progress(each, sizes.get(image)) for each in of_image[image]]),
        )
        for image in images
    )


def host_progress(
    host: str, cell: str | None, site: str | None, tasks: Sequence[HostTask], sizes: Mapping[ImageId, int]
) -> HostProgress:
    """Return how far one host of a job is. tasks: all that the job has for it, in the order of the request."""
    running = _at_work([task for task in tasks if task.state is TaskState.RUNNING])
    has_ended = all(task.state is TaskState.ENDED for task in tasks)
    return HostProgress(
        host=host,
        cell=cell,
        site=site,
        state=TaskState.RUNNING if running else TaskState.ENDED if has_ended else TaskState.WAITING,
        image=running.image if running else None,
        phase=running.phase if running else None,
        attempts=max((task.attempts for task in tasks), default=0),
        reason=next((task.reason for task in tasks if task.reason), ""),
        progress=_progress_of_host(tasks, sizes),
    )


def _at_work(running: Sequence[HostTask]) -> HostTask | None:
    """Return the task that the host works on: it does one after the other, and runs all of them until it answers."""
    reported = [(task.reported_at, place) for place, task in enumerate(running) if task.reported_at is not None]
    if reported:
        return running[max(reported)[1]]
    return running[0] if running else None


def _progress_of_host(tasks: Sequence[HostTask], sizes: Mapping[ImageId, int]) -> Progress:
    """Return the same as `add_up` would for these tasks, in one pass, because a list may show a thousand hosts."""
    states: dict[TaskState, int] = {}
    counts: dict[Outcome, int] = {}
    done = total = left = 0
    is_known = True
    rate: int | None = None
    for task in tasks:
        states[task.state] = states.get(task.state, 0) + 1
        done += task.bytes_done
        if task.outcome is not None:
            counts[task.outcome] = counts.get(task.outcome, 0) + 1
            total += task.bytes_total
            continue
        has_total = task.state is TaskState.RUNNING and (task.bytes_total or task.phase is Phase.DONE)
        expected = task.bytes_total if has_total else sizes.get(task.image)
        if expected is None:
            is_known = False
        else:
            total += expected
            left += max(0, expected - task.bytes_done)
        if task.rate_bytes_per_s is not None:
            rate = (rate or 0) + task.rate_bytes_per_s
    return Progress(
        task_states=states,
        counts=counts,
        bytes_done=done,
        bytes_total=total if is_known else None,
        bytes_left=left if is_known else None,
        rate_bytes_per_s=rate,
    )


def add_up(parts: Sequence[Progress]) -> Progress:
    """Return the sum. A number of bytes that is unknown in one part is unknown in the sum; a rate is not."""
    states: Counter[TaskState] = Counter()
    counts: Counter[Outcome] = Counter()
    for part in parts:
        states.update(part.task_states)
        counts.update(part.counts)
    rates = [part.rate_bytes_per_s for part in parts if part.rate_bytes_per_s is not None]
    return Progress(
        task_states={state: states[state] for state in TaskState if states[state]},
        counts={outcome: counts[outcome] for outcome in Outcome if counts[outcome]},
        bytes_done=sum(part.bytes_done for part in parts),
        bytes_total=_sum_known([part.bytes_total for part in parts]),
        bytes_left=_sum_known([part.bytes_left for part in parts]),
        rate_bytes_per_s=sum(rates) if rates else None,
        bytes_from=sum((part.bytes_from for part in parts), NO_BYTES),
    )


def _progress(tasks: TaskSum, size_bytes: int | None) -> Progress:
    if isinstance(tasks.standing, Outcome):
        return Progress(
            task_states={TaskState.ENDED: tasks.tasks},
            counts={tasks.standing: tasks.tasks},
            bytes_done=tasks.bytes_done,
            bytes_total=tasks.bytes_total,
            bytes_from=tasks.bytes_from,
        )
    # A waiting task downloads the whole image, unless the host has kept a part of it.
    without_total = tasks.tasks if tasks.standing is TaskState.WAITING else tasks.without_total
    known = 0 if tasks.standing is TaskState.WAITING else tasks.bytes_total
    expected = None if without_total and size_bytes is None else known + without_total * (size_bytes or 0)
    return Progress(
        task_states={tasks.standing: tasks.tasks},
        bytes_done=tasks.bytes_done,
        bytes_total=expected,
        bytes_left=None if expected is None else max(0, expected - tasks.bytes_done),
        rate_bytes_per_s=tasks.rate_bytes_per_s,
        bytes_from=tasks.bytes_from,
    )


def _sum(image: ImageId, standing: TaskState | Outcome, tasks: Sequence[Task]) -> TaskSum:
    rates = [task.rate_bytes_per_s for task in tasks if task.rate_bytes_per_s is not None]
    return TaskSum(
        image,
        standing,
        tasks=len(tasks),
        bytes_done=sum(task.bytes_done for task in tasks),
        bytes_total=sum(task.bytes_total for task in tasks),
        without_total=sum(not task.bytes_total and task.phase is not Phase.DONE for task in tasks),
        rate_bytes_per_s=sum(rates) if rates else None,
        bytes_from=sum((task.bytes_from for task in tasks), NO_BYTES),
    )


def _sum_known(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
