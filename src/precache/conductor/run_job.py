"""Runs one job: every host has exactly one outcome for each image at the end.

It may be interrupted anywhere: recorded results stay, and the next conductor that claims the job continues with the
remaining tasks. A host may have been called, or even have answered, before that was recorded. A second call is
harmless: the host answers from memory, joins the running work, or touches the image.
"""

from __future__ import annotations

from datetime import timedelta

from precache.background.backoff import retry_until
from precache.conductor.announce import Announcer
from precache.conductor.call_hosts import CallHosts
from precache.conductor.end_job import EndJob
from precache.conductor.group_hosts import GroupHosts
from precache.conductor.job_control import JobControl
from precache.conductor.job_run import JobRun
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.core.jobs import Job
from precache.ports.clock import Clock
from precache.ports.job_store import JobClaims
from precache.rules.group_by_cell import RpcRequirement

WRITE_INTERVAL = timedelta(seconds=0.5)
"""How long an outcome may wait before it is written: short for a user, but with few transactions a second. Events are
read as often."""


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

    def __call__(self, job: Job, control: JobControl) -> None:
        """Run the job to its end, or until it is to stop.

        If `control.stop` is cancelled, the job is released with its remaining tasks. If only `control.work` is, or the
        job may not run at this time, the hosts are told to stop; then the job ends, waits or is paused: see
        `rules/stopping.py`.
        Raises LeaseLost if another conductor has taken the job over, Unavailable if the store or the inventory is
        unavailable at a stop. In both cases the next owner of the lease continues.
        """
        run = self._start(job, control)
        run.stop_if_due()
        may_have_calls = run.remaining.asked or job.may_have_calls
        if run.ending is not None and (run.ending.rest is not None or may_have_calls):
            self._group_hosts(run, list(run.remaining.images))  # the hosts that are told to stop
        self._call_hosts(run)
        self._end_job(run)

    def _start(self, job: Job, control: JobControl) -> JobRun:
        """Read the remaining tasks."""
        remaining = retry_until(
            lambda: self._claims.remaining(job.claim), what="The start of job", of=job.id, wait=control.stop.wait
        )
        recorder = OutcomeRecorder(
            job=job,
            remaining=remaining,
            claims=self._claims,
            announcer=self._announcer,
            interval=self._write_interval,
        )
        requirement = self._requirement
        has_options = job.options.job_rate_limit_bytes_per_s or any(order.has_options for order in job.orders)
        if requirement is not None and has_options:
            requirement = requirement.with_options()
        if requirement is not None:
            requirement = requirement.of_job(job.operation)
        return JobRun(job, remaining, recorder, requirement, control, self._clock)
