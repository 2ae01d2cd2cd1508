"""The last lines on a job in the log, in the words of Nova's."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from precache.core.jobs import Job, Outcome, Task

_log = logging.getLogger(__name__)


def log_summary(job: Job, tasks: Sequence[Task]) -> None:
    """Log how long the finished job took, how its tasks ended, and which images failed how often.

    tasks: of the job; none if none has failed, or it is not known which.
    """
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    counted = ", ".join(f"{job.counts.get(outcome, 0)} {outcome}" for outcome in Outcome)
    _log.info(
        "Image pre-cache operation for image(s) %s completed in %.2f seconds; %s (job %s: %s)",
        ",".join(job.images), seconds, counted, job.id, job.state,
    )  # fmt: skip
    for image in job.images:
        failed = sum(task.image == image and task.outcome is Outcome.ERROR for task in tasks)
        if failed:
            _log.warning("Image pre-cache operation for image %s failed %i times", image, failed)
