"""What becomes of a job's hosts: written into the store in batches, and announced in that order."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from precache.conductor.announce import Announcer
from precache.core.errors import LeaseLost, Unavailable
from precache.core.jobs import HostEnded, Job, JobStep, Outcome
from precache.ports.job_store import JobClaims

_log = logging.getLogger(__name__)

UNSTORABLE = "the host's answer could not be stored; the conductor's log has the details"


class OutcomeRecorder:
    """Of one run of a job, under the claim that the job was given with; for the run's own thread only.

    hosts: all of the job; ended_hosts: how many of them had ended before this run.
    interval: between two batches at least, while there is more to come.
    """

    def __init__(
        self,
        *,
        job: Job,
        hosts: Sequence[str],
        ended_hosts: int,
        claims: JobClaims,
        announcer: Announcer,
        interval: timedelta,
    ) -> None:
        self.job = job
        self.hosts = hosts
        self._ended_hosts = ended_hosts
        self._claims = claims
        self._announcer = announcer
        self._interval_s = interval.total_seconds()
        self._unwritten: list[JobStep] = []
        self._due_at = time.monotonic()

    def note(self, step: JobStep) -> None:
        self._unwritten.append(step)

    @property
    def rest_s(self) -> float | None:
        """Return the seconds until the next batch is due, 0 if it is; None if there is nothing to write."""
        return max(0.0, self._due_at - time.monotonic()) if self._unwritten else None

    def write(self) -> None:
        """Write down what was noted, then announce it. May be called again if the store is away.

        Raises LeaseLost, StoreUnavailable; what was noted is kept.
        """
        if not self._unwritten:
            return
        written = self._record(self._unwritten)
        self._unwritten = []
        for step in written:
            if isinstance(step, HostEnded):
                self._ended_hosts += 1
                self._announcer.host_ended(self.job, step.host, step.results, self._ended_hosts, len(self.hosts))
        self._due_at = time.monotonic() + self._interval_s

    def _record(self, steps: Sequence[JobStep]) -> Sequence[JobStep]:
        """Write them down; return them as they were written."""
        try:
            self._claims.record(self.job.claim, steps)
        except (Unavailable, LeaseLost):
            raise
        except Exception:  # noqa: BLE001  one host's answer must not keep the outcomes of all others from the store
            _log.exception("A batch of job %s cannot be stored; its steps are tried one by one", self.job.id)
            return [self._record_alone(step) for step in steps]
        return steps

    def _record_alone(self, step: JobStep) -> JobStep:
        try:
            self._claims.record(self.job.claim, [step])
        except (Unavailable, LeaseLost):
            raise
        except Exception:
            if not isinstance(step, HostEnded):
                raise
            results = tuple(replace(result, outcome=Outcome.ERROR, reason=UNSTORABLE) for result in step.results)
            step = replace(step, results=results)
            self._claims.record(self.job.claim, [step])
        return step
