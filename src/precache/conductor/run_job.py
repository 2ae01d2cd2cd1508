"""Runs one job: every host has exactly one outcome for each image at the end.

It may be interrupted anywhere: recorded results stay, and the next conductor that claims the job continues with the
remaining tasks. A host may have been called, or even have answered, before that was recorded. A second call is
harmless: the host answers from memory, joins the running work, or touches the image.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from precache.background.backoff import retry_until
from precache.background.cancel_token import CancelToken
from precache.conductor.announce import Announcer
from precache.conductor.ask_host import same_result
from precache.conductor.call_hosts import CallHosts
from precache.conductor.end_job import EndJob
from precache.conductor.group_hosts import GroupHosts
from precache.conductor.job_run import JobRun
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.core.jobs import HostEnded, Job, Outcome
from precache.core.stopping import StopReason
from precache.ports.clock import Clock
from precache.ports.job_store import JobClaims
from precache.rules.group_by_cell import HostGroups, RpcRequirement

_log = logging.getLogger(__name__)

DOWN = "the host is down or was forced down; bring it up and send the request again"
UNMAPPED = (
    "no Precache compute has ever sent a heartbeat from this host, so it belongs to no cell; start `precache serve "
    "compute` there, under this name ([DEFAULT] host), and send the request again"
)

WRITE_INTERVAL = timedelta(seconds=0.25)
"""How long an outcome may wait before it is written: short for a user, but with few transactions a second."""


class RunJob:
    """The use case. One object serves all jobs.

    requirement: the RPC version that computes must speak; None without a bus.
    write_interval: between two batches of outcomes of one job.
    """

    def __init__(
        self,
        *,
        claims: JobClaims,
        announcer: Announcer,
        clock: Clock,
        group_hosts: GroupHosts,
        call_hosts: CallHosts,
        end_job: EndJob,
        requirement: RpcRequirement | None = None,
        write_interval: timedelta = WRITE_INTERVAL,
    ) -> None:
        self._claims = claims
        self._announcer = announcer
        self._clock = clock
        self._group_hosts = group_hosts
        self._call_hosts = call_hosts
        self._end_job = end_job
        self._requirement = requirement
        self._write_interval = write_interval

    def __call__(self, job: Job, stop: CancelToken, work: CancelToken) -> None:
        """Run the job to its end, or until `stop` is cancelled: then release the job with its remaining tasks.

        work: a child of `stop`. If only `work` is cancelled, an operator has cancelled the job: the hosts are told to
        stop, and the job ends.
        Raises LeaseLost if another conductor has taken the job over, Unavailable if the store or the inventory is
        unavailable at a stop. In both cases the next owner of the lease continues.
        """
        if job.cancel_requested_at is not None:
            work.cancel(StopReason.CANCELLED)
        run = self._start(job, stop, work)
        groups = self._group_hosts(run)
        if not run.is_cancelled:
            _log.info(
                "Preparing to request pre-caching of image(s) %s on %i hosts across %i cells (job %s)",
                ",".join(job.images), len(run.remaining.images), len(groups.by_cell), job.id,
            )  # fmt: skip
        self._end_unasked(run, groups)
        self._call_hosts(run, groups.by_cell)
        self._end_job(run)

    def _start(self, job: Job, stop: CancelToken, work: CancelToken) -> JobRun:
        """Read the remaining tasks, and announce the start unless an earlier conductor has done so."""
        remaining = retry_until(
            lambda: self._claims.remaining(job.claim), what="The start of job", of=job.id, wait=stop.wait
        )
        if not remaining.asked and not job.counts:
            self._announcer.started(job, remaining.hosts)
        recorder = OutcomeRecorder(
            job=job,
            remaining=remaining,
            claims=self._claims,
            announcer=self._announcer,
            interval=self._write_interval,
        )
        requirement = self._requirement
        if requirement is not None and any(order.has_options for order in job.orders):
            requirement = requirement.with_options()
        return JobRun(job, remaining, recorder, requirement, stop, work)

    def _end_unasked(self, run: JobRun, groups: HostGroups) -> None:
        """Note the outcomes of the hosts that are not called."""
        for host in groups.down:
            _log.info("Skipping image pre-cache request to compute %r because it is not up", host.name)
            self._note_end(run, host.name, Outcome.SKIPPED, DOWN, cell=host.cell or "")
        for name in groups.unmapped:
            self._note_end(run, name, Outcome.ERROR, UNMAPPED)
        for host in groups.outdated:
            if run.requirement is not None:
                error = run.requirement.error_of(host)
                _log.warning("%s", error)
                self._note_end(run, host.name, Outcome.ERROR, str(error), cell=host.cell or "")

    def _note_end(self, run: JobRun, host: str, outcome: Outcome, reason: str, cell: str = "") -> None:
        results = same_result(run.remaining.images[host], outcome, reason)
        run.recorder.note(HostEnded(host, results, self._clock.now(), cell))
