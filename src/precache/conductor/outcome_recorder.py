"""Stores the steps of a job's hosts in batches, and announces them in the same order."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from precache.conductor.announce import Announcer
from precache.core.errors import LeaseLost, Unavailable
from precache.core.images import ImageId
from precache.core.jobs import HostAsked, HostEnded, HostPutBack, Job, JobStep, Outcome, TaskResult
from precache.ports.job_store import JobClaims, RemainingTasks

_log = logging.getLogger(__name__)

UNSTORABLE = "the host's answer could not be stored; the conductor's log has the details"

BATCH = 1000
"""The most steps of one transaction: at the end of a stopped job there are as many as hosts, and each has many rows."""

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
        self._hosts = remaining.hosts
        self._counts = Counter(job.counts)
        self._unended = dict(remaining.images)
        self._failures = dict(remaining.failures)
        self._asked = set(remaining.asked)
        self._failed: dict[str, None] = {}
        self._unannounced = {host: len(images) for host, images in remaining.images.items()}
        self._results: defaultdict[str, list[TaskResult]] = defaultdict(list)
        self._is_start_announced = bool(remaining.asked or job.counts)
        self._claims = claims
        self._announcer = announcer
        self._interval_s = interval.total_seconds()
        self._unwritten: list[JobStep] = []
        self._due_at = time.monotonic()
        self._held_at = -math.inf  # when the store confirmed the claim

    def note(self, step: JobStep) -> None:
        self.announce_start()
        self._unwritten.append(step)
        match step:
            case HostAsked():
                self._asked.add(step.host)
            case HostEnded():
                self._note_ended(step)
            case HostPutBack(is_failure=True):
                for image in step.bytes_kept:
                    self._failures[step.host, image] = self._failures.get((step.host, image), 0) + 1

    def announce_start(self) -> None:
        """Announce that the job begins, unless this or an earlier conductor has done so."""
        if not self._is_start_announced:
            self._announcer.started(self._job, self._hosts)
            self._is_start_announced = True

    def was_asked(self, host: str) -> bool:
        """Return whether this conductor or an earlier one called the host for images that had not ended."""
        return host in self._asked

    @property
    def unended(self) -> Mapping[str, tuple[ImageId, ...]]:
        """Return the hosts with tasks that have not ended, and the images of these. Any thread may read it."""
        return self._unended

    @property
    def failed_hosts(self) -> Collection[str]:
        """Return the hosts of which this conductor noted a task that ended without success."""
        return self._failed.keys()

    def failures_of(self, host: str) -> Mapping[ImageId, int]:
        """Return how often the unfinished tasks of the host have failed and were put back."""
        return {image: self._failures.get((host, image), 0) for image in self._unended.get(host, ())}

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
        while self._unwritten:
            began_at = time.monotonic()
            batch = self._unwritten[:BATCH]
            written = self._record(batch)
            self._held_at = began_at
            del self._unwritten[: len(batch)]
            for step in written:
                if isinstance(step, HostEnded):
                    self._announce(step)
        self._due_at = time.monotonic() + self._interval_s

    def write_last(self) -> None:
        """Store and announce the noted steps; without any, check the claim unless a write has just confirmed it.

        Raises LeaseLost, StoreUnavailable. When it returns, this conductor held the job a moment ago.
        """
        if self._unwritten:
            self.write()
        elif time.monotonic() - self._held_at > CLAIM_IS_KNOWN_S:
            self._claims.check(self._job.claim)

    def _note_ended(self, step: HostEnded) -> None:
        ended = {result.image for result in step.results}
        left = tuple(image for image in self._unended.get(step.host, ()) if image not in ended)
        if left:
            self._unended[step.host] = left
        else:
            self._unended.pop(step.host, None)
        if not all(result.outcome.is_success for result in step.results):
            self._failed[step.host] = None

    def _announce(self, step: HostEnded) -> None:
        """Announce the results of the host when all of its tasks have ended."""
        self._counts.update(result.outcome for result in step.results)
        results = self._results[step.host]
        results += step.results
        self._unannounced[step.host] = self._unannounced.get(step.host, 0) - len(step.results)
        if self._unannounced[step.host] <= 0:
            del self._unannounced[step.host], self._results[step.host]
            total = len(self._hosts)
            self._announcer.host_ended(self._job, step.host, results, total - len(self._unannounced), total)

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
