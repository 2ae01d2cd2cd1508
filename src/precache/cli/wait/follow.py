"""Polls a job until it ends. Clock and sleep are arguments; nothing here writes output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from precache.cli.client import JsonObject
from precache.cli.client.jobs import Jobs
from precache.cli.client.pages import PAGE
from precache.cli.wait.snapshot import SUCCESSES, Snapshot, TaskView
from precache.core.errors import Unavailable

FAILURES = 100
"""How many failures of each outcome are read while a large job runs."""


class JobPoll:
    """Reads one job, and caches the failures of a large one."""

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._counts: JsonObject = {}
        self._failures: list[JsonObject] = []

    def now(self) -> Snapshot:
        """Return a snapshot of the job. Raises the service's errors."""
        # The job first: if it has ended, all tasks that are read afterwards have ended, too.
        job = self._jobs.get(self._job_id)
        if int(job.get("task_count") or 0) <= PAGE:
            return Snapshot(job=job, tasks=self._jobs.tasks(self._job_id))
        self._ask_for_failures(job.get("counts") or {})
        running = self._jobs.tasks(self._job_id, state="running", limit=PAGE)
        return Snapshot(job=job, tasks=[*running, *self._failures], is_whole=False)

    def _ask_for_failures(self, counts: JsonObject) -> None:
        """Read the first failures of each outcome, unless their number has not changed."""
        if counts == self._counts:
            return
        self._failures = first_failures(self._jobs, self._job_id, counts)
        self._counts = counts


def first_failures(jobs: Jobs, job_id: str, counts: JsonObject) -> list[JsonObject]:
    """Return the first failed tasks of each outcome."""
    return [
        task
        for outcome, number in counts.items()
        if number and outcome not in SUCCESSES
        for task in jobs.tasks(job_id, outcome=outcome, limit=FAILURES)
    ]


def in_full(jobs: Jobs, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with all tasks, for a result that shows them."""
    return snapshot if snapshot.is_whole else Snapshot(job=snapshot.job, tasks=jobs.tasks(snapshot.id))


def only_failures(jobs: Jobs, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with exactly the failed tasks."""
    if snapshot.is_whole:
        failed = [task for task in snapshot.tasks if TaskView.of(task).is_failure]
    else:
        outcomes = [outcome for outcome, number in snapshot.counts.items() if number and outcome not in SUCCESSES]
        failed = [task for outcome in outcomes for task in jobs.tasks(snapshot.id, outcome=outcome)]
    return Snapshot(job=snapshot.job, tasks=failed, is_whole=False)


_FIRST_PAUSE_S = 0.1  # a job whose images are all cached already ends at once
_SHORTEST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_TASKS_PER_SECOND = 1000  # the most tasks to read per second
PATIENCE_S = 60.0  # a restart of the service during a job takes less


class ProgressView(Protocol):
    """Shows the progress of a job."""

    def show(self, snapshot: Snapshot) -> None:
        """Called with each snapshot, in order; the last one is final unless the wait was interrupted."""
        ...

    def silence(self, message: str) -> None:
        """Called each time the service did not answer; the wait continues. message: without advice."""
        ...


@dataclass(frozen=True, slots=True)
class WaitResult:
    """The last snapshot of a job; `timed_out` if the job had not ended."""

    snapshot: Snapshot
    timed_out: bool


def follow(
    jobs: Jobs,
    job_id: str,
    *,
    view: ProgressView,
    clock: Callable[[], float],
    pause: Callable[[float], None],
    timeout_s: float | None,
) -> WaitResult:
    """Poll the job until it ends or `timeout_s` is over.

    clock: seconds from any start. pause: waits for this number of seconds. The service may be unavailable for a minute,
    so that its restart does not end the wait; after that its Unavailable is raised. If there was no first answer, it is
    raised at once. A job that does not exist raises at once.
    """
    begun = clock()
    look = JobPoll(jobs, job_id)
    last: Snapshot | None = None
    silent_since: float | None = None
    breath = _FIRST_PAUSE_S
    while True:
        try:
            last = look.now()
        except Unavailable as error:
            silent_since = clock() if silent_since is None else silent_since
            if last is None or clock() - silent_since >= PATIENCE_S:
                raise
            view.silence(error.message)
        else:
            silent_since = None
            view.show(last)
            if last.is_final:
                return WaitResult(last, timed_out=False)
        left = None if timeout_s is None else begun + timeout_s - clock()
        if left is not None and left <= 0:
            return WaitResult(last, timed_out=True)
        pause(breath if left is None else min(breath, left))
        breath = min(2 * breath, pause_for(len(last.tasks)))


def pause_for(task_count: int) -> float:
    """Return the seconds between two polls of a job with this number of tasks."""
    return min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, task_count / _TASKS_PER_SECOND))
