"""What becomes of a job's hosts: written into the store in batches, and announced in that order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from precache.conductor.announce import Announcer
from precache.core.jobs import HostEnded, Job, JobStep
from precache.ports.job_store import JobClaims


class JobLedger:
    """Of one run of a job that `owner` holds; for the run's own thread only.

    hosts: all of the job; ended_hosts: how many of them had ended before this run.
    interval: between two batches at least, while there is more to come.
    """

    def __init__(
        self,
        *,
        job: Job,
        hosts: Sequence[str],
        ended_hosts: int,
        owner: str,
        claims: JobClaims,
        announcer: Announcer,
        interval: timedelta,
    ) -> None:
        self.job = job
        self.hosts = hosts
        self._ended_hosts = ended_hosts
        self._owner = owner
        self._claims = claims
        self._announcer = announcer
        self._interval_s = interval.total_seconds()
        self._unwritten: list[JobStep] = []
        self._due_at = time.monotonic()

    def note(self, step: JobStep) -> None:
        self._unwritten.append(step)

    @property
    def rest_s(self) -> float | None:
        """Give the seconds until the next batch is due, 0 if it is; None if there is nothing to write."""
        return max(0.0, self._due_at - time.monotonic()) if self._unwritten else None

    def write(self) -> None:
        """Write down what was noted, then announce it. May be called again if the store is away.

        Raises LeaseLost, StoreUnavailable; what was noted is kept.
        """
        if not self._unwritten:
            return
        self._claims.record(self.job.id, self._owner, self._unwritten)
        written, self._unwritten = self._unwritten, []
        for step in written:
            if isinstance(step, HostEnded):
                self._ended_hosts += 1
                self._announcer.host_ended(self.job, step.host, step.results, self._ended_hosts, len(self.hosts))
        self._due_at = time.monotonic() + self._interval_s
