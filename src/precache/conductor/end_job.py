"""Ends the run of a job: announces and stores the end of the job, or releases the job."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from precache.conductor.announce import Announcer
from precache.conductor.job_run import JobRun
from precache.core.errors import Unavailable
from precache.core.jobs import Job, JobState, Outcome, Task, TaskFilter
from precache.core.operations import Operation
from precache.core.stopping import StopReason
from precache.ports.clock import Clock
from precache.ports.job_store import JobClaims, JobQueries
from precache.rules.schedule import earlier, next_start
from precache.rules.stopping import Ending
from precache.rules.verdict import verdict

_log = logging.getLogger(__name__)

HOSTS_LOOK = timedelta(seconds=10)
"""How often a job checks for the hosts that it waits for, when nothing else is left to do."""

_NAMED_BY_NOVA = (Outcome.CACHED, Outcome.EXISTING, Outcome.ERROR, Outcome.UNSUPPORTED, Outcome.SKIPPED)


class EndJob:
    """The use case. One object serves all jobs."""

    def __init__(self, *, claims: JobClaims, queries: JobQueries, announcer: Announcer, clock: Clock) -> None:
        self._claims = claims
        self._queries = queries
        self._announcer = announcer
        self._clock = clock

    def __call__(self, run: JobRun) -> None:
        """Store the noted steps; then end the job if all tasks have ended, else release it. Raises LeaseLost."""
        # It also checks the claim: if another conductor has taken the job over, that one announces its end.
        run.retry("The record of", run.recorder.write_last)
        if run.recorder.counts.total() < run.job.task_count:
            self._release(run)
        else:
            self._finish(run)

    def _release(self, run: JobRun) -> None:
        """Put the job back: for another conductor, or until it is due."""
        job, ending = run.job, run.ending
        deadline, now = job.options.deadline, self._clock.now()
        if ending is not None and ending.rest is None:
            start = next_start(job.options, now) if ending.state is JobState.WAITING else None
            state, due_at = ending.state, start.at if start else None
            reason = " ".join(filter(None, (start.reason if start else "", _unconfirmed(run))))
        elif run.down and not run.stop.is_cancelled:
            state, due_at, reason = JobState.WAITING, now + HOSTS_LOOK, _down(run)
        else:
            self._claims.release(job.claim)
            _log.info("Job %s continues at the next start, or with another conductor", job.id)
            return
        due_at = earlier(due_at, deadline)
        run.retry(
            "The release of",
            lambda: self._claims.release(job.claim, state=state, due_at=due_at, reason=reason, revision=job.revision),
        )
        _log.info("Job %s is %s. %s", job.id, state, reason)

    def _finish(self, run: JobRun) -> None:
        job, recorder = run.job, run.recorder
        # Announce the end before storing it: if this conductor dies in between, another one announces it again. In the
        # other order the announcement could be lost.
        recorder.announce_start()
        self._announcer.ended(job, run.remaining.hosts)
        state, reason = verdict(recorder.counts.elements()), ""
        if run.ending is not None and self._ends_otherwise(run, run.ending):
            state, reason = run.ending.state, self._reason_of_end(run)
        finished = run.retry("The end of", lambda: self._claims.finish(job.claim, state, reason))
        _log_summary(finished, self._failed_tasks(finished))

    def _ends_otherwise(self, run: JobRun, ending: Ending) -> bool:
        """Return whether the reason to stop decides how the job ends: if it ended tasks, or a canary failed."""
        if ending.rest is None:
            return False
        return run.recorder.counts[ending.rest] > 0 or run.work.reason is StopReason.CANARY_FAILED

    def _reason_of_end(self, run: JobRun) -> str:
        if run.work.reason is not StopReason.DEADLINE_PASSED:
            return run.reason
        total = len(run.remaining.hosts)
        return f"The deadline passed: {total - len(self._not_ready(run))} of {total} hosts are ready."

    def _not_ready(self, run: JobRun) -> set[str]:
        """Return the hosts that do not have all images."""
        hosts = set(run.recorder.failed_hosts)
        failed = {
            outcome: count for outcome, count in run.job.counts.items() if not outcome.is_success
        }  # in earlier runs
        if failed:
            only, limit = TaskFilter(outcomes=frozenset(failed)), sum(failed.values())
            tasks = run.retry(
                "The count of hosts of", lambda: self._queries.list_tasks(run.job.id, only=only, limit=limit)
            )
            hosts.update(task.host for task in tasks)
        return hosts

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


def _unconfirmed(run: JobRun) -> str:
    """Return a sentence on the hosts that may go on; empty if all have confirmed that they stop."""
    if not run.unconfirmed:
        return ""
    host, failure = next(iter(run.unconfirmed.items()))
    hosts = _hosts(len(run.unconfirmed))
    return f"A transfer may go on until it ends on {hosts}, such as {host}, which did not confirm the stop: {failure}."


def _down(run: JobRun) -> str:
    count = len(run.down)
    return f"It waits for {_hosts(count)} that {'is' if count == 1 else 'are'} down, such as {next(iter(run.down))}."


def _hosts(count: int) -> str:
    return f"{count} host{'' if count == 1 else 's'}"


def _log_summary(job: Job, failed: Sequence[Task]) -> None:
    """Log with Nova's text the duration of the job, the outcomes of its tasks, and the failures of each image."""
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    is_caching = job.operation is Operation.CACHE
    counted = ", ".join(
        f"{count} {outcome}"
        for outcome in Outcome
        if (count := job.counts.get(outcome, 0)) or (is_caching and outcome in _NAMED_BY_NOVA)
    )
    what = "pre-cache" if is_caching else job.operation
    _log.info(
        "Image %s operation for image(s) %s completed in %.2f seconds; %s (job %s: %s)",
        what, ",".join(job.images), seconds, counted, job.id, job.state,
    )  # fmt: skip
    for image in job.images:
        failures = sum(task.image == image for task in failed)
        if failures:
            _log.warning("Image %s operation for image %s failed %i times", what, image, failures)
