"""The conductor's process loop: claims jobs, runs several at once, and extends their leases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.background.log_exceptions import log_exceptions
from precache.background.periodic_task import PeriodicTask
from precache.background.threads import start_thread
from precache.conductor.claim_schedule import ClaimSchedule
from precache.conductor.job_control import JobControl
from precache.conductor.running_jobs import RunningJobs
from precache.core.errors import LeaseLost
from precache.core.jobs import Job
from precache.core.stopping import StopReason
from precache.core.work_context import WorkContext, working_on
from precache.ports.job_store import JobClaims, JobLeases
from precache.rules.job_slots import least_priority

_log = logging.getLogger(__name__)

RunsJob = Callable[[Job, JobControl], None]
"""Runs a job, and is told to stop or of changes by its control."""

EXTEND_RETRY = timedelta(seconds=1)
"""How soon a failed extension is repeated: well before the lease expires."""

STEERING_INTERVAL = timedelta(seconds=1)
"""How often requests to stop or change a running job are read from the store, in addition to the API's wake-ups."""

_LEFT = "another conductor continues it when its lease expires"


class _JobSlots:
    """The priorities of the running jobs, for the choice of the next one. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._running: dict[str, int] = {}
        self._are_full = False
        self._lock = threading.Lock()

    def least_priority(self) -> int | None:
        """Return the lowest priority of a job that may be claimed now; None if none may be."""
        with self._lock:
            least = least_priority(self._running.values(), self._count)
            self._are_full = least != 0
            return least

    def take(self, job: Job) -> None:
        with self._lock:
            self._running[job.id] = job.options.priority

    def free(self, job: Job) -> bool:
        """Return whether jobs may wait for this."""
        with self._lock:
            del self._running[job.id]
            return self._are_full


class WorkLoop:
    """Claims and runs jobs until it is stopped. Call `start` once, `wake` when there may be work, `stop` once.

    Its threads catch the errors of their work. If one of them ends nevertheless, the process must end: otherwise jobs
    would stay unclaimed, or run without a lease.

    lease: how long a job belongs to this process without an extension; there are three extensions in this time.
    poll_interval: how long an unannounced job may wait; also how soon a dead conductor's job is found.
    jobs_at_once: the most running jobs; their hosts share one pool. Jobs with a higher priority than theirs come on
        top, see `rules/job_slots.py`.
    start_thread: starts the thread of a job.
    """

    def __init__(
        self,
        *,
        claims: JobClaims,
        leases: JobLeases,
        run_job: RunsJob,
        owner: str,
        lease: timedelta,
        poll_interval: timedelta,
        jobs_at_once: int,
        start_thread: Callable[..., threading.Thread] = start_thread,
    ) -> None:
        self._claims = claims
        self._run_job = run_job
        self._owner = owner
        self._lease = lease
        self._poll_interval = poll_interval
        self._slots = _JobSlots(jobs_at_once)
        self._schedule = ClaimSchedule(poll_interval=poll_interval)
        self._running = RunningJobs(leases=leases, lease=lease, start_thread=start_thread)
        self._stop = CancelToken()
        self._loop: threading.Thread | None = None
        self._keeper = PeriodicTask(
            action=self._running.extend_leases,
            interval=lease / 3,
            delay=lease / 3,
            retry_interval=EXTEND_RETRY,
            what="The extension of leases",
        )
        self._steering = PeriodicTask(
            action=self._running.read_steering,
            interval=STEERING_INTERVAL,
            delay=STEERING_INTERVAL,
            what="The look for what operators want of jobs",
        )

    def start(self) -> None:
        self._loop = start_thread(self._claim_until_stopped, name="conductor")
        self._keeper.start()
        self._steering.start()

    def wake(self) -> None:
        """Look for jobs, and for requests to stop or change one, now. Cheap; may be called by any thread."""
        self._schedule.wake()
        self._steering.wake()

    def ask_to_stop(self) -> None:
        """Claim no further job, and make the running jobs release their remaining tasks; do not wait."""
        self._stop.cancel(StopReason.SHUTDOWN)
        self._schedule.wake()
        self._keeper.ask_to_stop()
        self._steering.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Call `ask_to_stop`, and wait at most that long for each thread."""
        self.ask_to_stop()
        if self._loop is not None:
            self._loop.join(patience.total_seconds())
        self._running.join(patience)
        self._keeper.stop(patience)
        self._steering.stop(patience)

    def _claim_until_stopped(self) -> None:
        while not self._stop.is_cancelled:
            self._schedule.wait()
            if not self._stop.is_cancelled:
                self._claim_one()

    def _claim_one(self) -> None:
        """Claim a job and start its thread, if there is a job for the free slots.

        A job that this process still runs is not claimed, even if its lease expired while the store was unavailable.
        """
        job, is_started = None, False
        self._schedule.begin_look()
        least = self._slots.least_priority()  # afterwards, so that a slot that is freed later leads to another look
        if least is not None:
            with log_exceptions(what="The claim of a job", then=f"will be tried again in {self._poll_interval}"):
                skip = self._running.ids()
                job = self._claims.claim(self._owner, self._lease, skip=skip, least_priority=least)
        if job is not None:
            is_started = self._start(job)
        self._schedule.end_look(job if is_started else None)

    def _start(self, job: Job) -> bool:
        """Start the job's thread. If the system can start no further thread, release the job and return False."""
        control = JobControl(self._stop.child(), revision=job.revision)
        self._slots.take(job)
        try:
            self._running.start(job, control, lambda: self._run(job, control))
        except RuntimeError as error:
            self._slots.free(job)
            _log.error("Job %s is released, because no thread can be started for it: %s", job.id, error)
            with log_exceptions(what="The release of job", of=job.id, then=_LEFT):
                self._claims.release(job.claim)
            return False
        return True

    def _run(self, job: Job, control: JobControl) -> None:
        try:
            context = WorkContext(request_id=job.request_id, job_id=job.id)
            with working_on(context), log_exceptions(what="Job", of=job.id, then=_LEFT):
                self._run_unless_lost(job, control)
        finally:
            self._running.remove(job)
            are_wanted = self._slots.free(job)
            # A stopped job may have been resumed or cancelled meanwhile; the wake of that found it still running.
            if are_wanted or control.work.is_cancelled:
                self._schedule.wake()

    def _run_unless_lost(self, job: Job, control: JobControl) -> None:
        try:
            self._run_job(job, control)
        except LeaseLost as error:
            _log.warning("%s", error)
