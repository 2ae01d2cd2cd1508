"""Ends the run of a job: announces and stores the end of the job, or releases the job."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from precache.conductor.announce import Announcer
from precache.conductor.job_run import JobRun
from precache.core.errors import Unavailable
from precache.core.jobs import Job, Outcome, Task, TaskFilter
from precache.ports.job_store import JobClaims, JobQueries
from precache.rules.verdict import verdict

_log = logging.getLogger(__name__)


class EndJob:
    """The use case. One object serves all jobs."""

    def __init__(self, *, claims: JobClaims, queries: JobQueries, announcer: Announcer) -> None:
        self._claims = claims
        self._queries = queries
        self._announcer = announcer

    def __call__(self, run: JobRun) -> None:
        """Store the noted steps; then end the job if all tasks have ended, else release it. Raises LeaseLost."""
        job, recorder = run.job, run.recorder
        # It also checks the claim: if another conductor has taken the job over, that one announces its end.
        run.retry("The record of", recorder.write_last)
        if recorder.counts.total() < job.task_count:
            self._claims.release(job.claim)
            _log.info("Job %s continues at the next start, or with another conductor", job.id)
            return
        # Announce the end before storing it: if this conductor dies in between, another one announces it again. In the
        # other order the announcement could be lost.
        self._announcer.ended(job, run.remaining.hosts)
        state = verdict(recorder.counts.elements())
        finished = run.retry("The end of", lambda: self._claims.finish(job.claim, state))
        _log_summary(finished, self._failed_tasks(finished))

    def _failed_tasks(self, finished: Job) -> Sequence[Task]:
        """Return the tasks that ended as errors; none if they cannot be read, because the job has ended in any case."""
        count = finished.counts.get(Outcome.ERROR, 0)
        if not count:
            return ()
        try:
            return self._queries.list_tasks(
                finished.id, only=TaskFilter(outcomes=frozenset({Outcome.ERROR})), limit=count
            )
        except Unavailable as error:
            _log.warning("The failed images of job %s cannot be listed in the log: %s", finished.id, error)
            return ()


def _log_summary(job: Job, failed: Sequence[Task]) -> None:
    """Log with Nova's text the duration of the job, the outcomes of its tasks, and the failures of each image."""
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    counted = ", ".join(f"{job.counts.get(outcome, 0)} {outcome}" for outcome in Outcome)
    _log.info(
        "Image pre-cache operation for image(s) %s completed in %.2f seconds; %s (job %s: %s)",
        ",".join(job.images), seconds, counted, job.id, job.state,
    )  # fmt: skip
    for image in job.images:
        failures = sum(task.image == image for task in failed)
        if failures:
            _log.warning("Image pre-cache operation for image %s failed %i times", image, failures)
