"""Stores the steps of a job's hosts in batches, and announces them in the same order."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from precache.conductor.announce import Announcer
from precache.core.errors import LeaseLost, Unavailable
from precache.core.images import ImageId
from precache.core.jobs import HostEnded, Job, JobStep, Outcome
from precache.ports.job_store import JobClaims, RemainingTasks

_log = logging.getLogger(__name__)

UNSTORABLE = "the host's answer could not be stored; the conductor's log has the details"

CLAIM_IS_KNOWN_S = 1.0
"""How long after a write the claim need not be checked again; a halt of the process takes longer."""


class OutcomeRecorder:
    """The recorder of one run of a job, under the claim of `job`; for the run's own thread only.

    remaining: the tasks that had not ended when the run began.
    interval: the least time between two batches.
    """

    def __init__(
        self,
        *,
        job: Job,
        remaining: RemainingTasks,
        claims: JobClaims,
        announcer: Announcer,
        interval: timedelta,
    ) -> None:
        self._job = job
        self._host_count = len(remaining.hosts)
        self._ended_hosts = self._host_count - len(remaining.images)
        self._counts = Counter(job.counts)
        self._unended = dict(remaining.images)
        self._asked = set(remaining.asked)
        self._claims = claims
        self._announcer = announcer
        self._interval_s = interval.total_seconds()
        self._unwritten: list[JobStep] = []
        self._due_at = time.monotonic()
        self._held_at = -math.inf  # when the store confirmed the claim

    def note(self, step: JobStep) -> None:
        self._unwritten.append(step)
        if isinstance(step, HostEnded):
            self._unended.pop(step.host, None)
        else:
            self._asked.add(step.host)

    def was_asked(self, host: str) -> bool:
        """Return whether this conductor or an earlier one called the host for images that had not ended."""
        return host in self._asked

    @property
    def unended(self) -> Mapping[str, tuple[ImageId, ...]]:
        """Return the hosts whose results are missing, with their images."""
        return self._unended

    @property
    def counts(self) -> Counter[Outcome]:
        """Return the stored number of tasks by outcome."""
        return self._counts

    @property
    def due_in_s(self) -> float | None:
        """Return the seconds until the next batch is due, 0 if it is due; None if there is nothing to write."""
        return max(0.0, self._due_at - time.monotonic()) if self._unwritten else None

    def write(self) -> None:
        """Store the noted steps, then announce them. May be called again after StoreUnavailable.

        Raises LeaseLost, StoreUnavailable; the noted steps are kept.
        """
        began_at = time.monotonic()
        written = self._record(self._unwritten)
        self._held_at = began_at
        self._unwritten = []
        for step in written:
            if isinstance(step, HostEnded):
                self._note_end(step)
        self._due_at = time.monotonic() + self._interval_s

    def write_last(self) -> None:
        """Store and announce the noted steps; without any, check the claim unless a write has just confirmed it.

        Raises LeaseLost, StoreUnavailable. When it returns, this conductor held the job a moment ago.
        """
        if self._unwritten:
            self.write()
        elif time.monotonic() - self._held_at > CLAIM_IS_KNOWN_S:
            self._claims.check(self._job.claim)

    def _note_end(self, step: HostEnded) -> None:
        self._ended_hosts += 1
        self._counts.update(result.outcome for result in step.results)
        self._announcer.host_ended(self._job, step.host, step.results, self._ended_hosts, self._host_count)

    def _record(self, steps: Sequence[JobStep]) -> Sequence[JobStep]:
        """Store the steps; return the stored ones."""
        try:
            self._claims.record(self._job.claim, steps)
        except (Unavailable, LeaseLost):
            raise
        except Exception:  # noqa: BLE001  one host's answer must not keep the outcomes of all others from the store
            _log.exception("A batch of job %s cannot be stored; its steps are tried one by one", self._job.id)
            return [self._record_alone(step) for step in steps]
        return steps

    def _record_alone(self, step: JobStep) -> JobStep:
        try:
            self._claims.record(self._job.claim, [step])
        except (Unavailable, LeaseLost):
            raise
        except Exception:
            if not isinstance(step, HostEnded):
                raise
            results = tuple(replace(result, outcome=Outcome.ERROR, reason=UNSTORABLE) for result in step.results)
            step = replace(step, results=results)
            self._claims.record(self._job.claim, [step])
        return step
