"""One look at a job: at all of a small one, and at what matters of a large one; none costs more than a page."""

from __future__ import annotations

from precache.cli.client import Document
from precache.cli.client.jobs import Jobs
from precache.cli.client.pages import PAGE
from precache.cli.wait.snapshot import SUCCESSES, Snapshot, TaskView

FAILURES = 100
"""Of each outcome, that are asked for while a large job goes on."""


class JobLook:
    """Looks at one job, and remembers of a large one what need not be asked for again."""

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._counts: Document = {}
        self._failures: list[Document] = []

    def now(self) -> Snapshot:
        """Return the job as it is; raises what the service answers."""
        # The job first: if that says it has ended, every task asked for after it has ended, too.
        job = self._jobs.get(self._job_id)
        if int(job.get("task_count") or 0) <= PAGE:
            return Snapshot(job=job, tasks=self._jobs.tasks(self._job_id))
        self._ask_for_failures(job.get("counts") or {})
        running = self._jobs.tasks(self._job_id, state="running", limit=PAGE)
        return Snapshot(job=job, tasks=[*running, *self._failures], is_whole=False)

    def _ask_for_failures(self, counts: Document) -> None:
        """Ask for the first failures of each outcome, unless there are no more than before."""
        if counts == self._counts:
            return
        self._failures = [
            task
            for outcome, number in counts.items()
            if number and outcome not in SUCCESSES
            for task in self._jobs.tasks(self._job_id, outcome=outcome, limit=FAILURES)
        ]
        self._counts = counts


def in_full(jobs: Jobs, snapshot: Snapshot) -> Snapshot:
    """Return the same with all tasks, for a result that shows them."""
    return snapshot if snapshot.is_whole else Snapshot(job=snapshot.job, tasks=jobs.tasks(snapshot.id))


def only_failures(jobs: Jobs, snapshot: Snapshot) -> Snapshot:
    """Return the same with all tasks that failed, and no others."""
    if snapshot.is_whole:
        failed = [task for task in snapshot.tasks if TaskView.of(task).is_failure]
    else:
        outcomes = [outcome for outcome, number in snapshot.counts.items() if number and outcome not in SUCCESSES]
        failed = [task for outcome in outcomes for task in jobs.tasks(snapshot.id, outcome=outcome)]
    return Snapshot(job=snapshot.job, tasks=failed, is_whole=False)
