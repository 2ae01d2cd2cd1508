"""The conductor's process loop: claims jobs as they come, runs several at once, keeps their leases alive."""

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
from precache.conductor.running_jobs import RunningJobs
from precache.core.errors import LeaseLost
from precache.core.jobs import Job
from precache.core.stopping import StopReason
from precache.core.work_context import WorkContext, working_on
from precache.ports.job_store import JobClaims, JobLeases

_log = logging.getLogger(__name__)

RunsJob = Callable[[Job, CancelToken, CancelToken], None]
"""Gets a token that is cancelled when another process is to continue the job, and a child for its work."""

EXTEND_RETRY = timedelta(seconds=1)
"""How soon an extension that failed is tried again: well before the lease ends."""

STOP_REQUEST_INTERVAL = timedelta(seconds=1)
"""How often the store is read for requests to stop a job that runs here, unless the API wakes the conductors."""

_LEFT = "it will be taken up when its lease runs out"


class WorkLoop:
    """Claims and runs until it is stopped. `start` once, `wake` whenever there may be work, `stop` once.

    Its threads catch what their work raises. If one of them ends nevertheless, the process has to notice it and to end:
    jobs would lie unclaimed, or run without a lease.

    lease: how long a job stays with this process unless it is extended; it is extended three times as often.
    poll_interval: how long a job that was not announced may wait; also how soon a dead conductor's job is found.
    jobs_at_once: how many jobs may run; their hosts share one pool.
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
        self._slots = threading.Semaphore(jobs_at_once)
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
        # Not the loop that claims jobs: it waits while as many jobs run as may.
        self._stop_requests = PeriodicTask(
            action=self._running.read_stop_requests,
            interval=STOP_REQUEST_INTERVAL,
            delay=STOP_REQUEST_INTERVAL,
            what="The look for requests to stop jobs",
        )

    def start(self) -> None:
        self._loop = start_thread(self._claim_until_stopped, name="conductor")
        self._keeper.start()
        self._stop_requests.start()

    def wake(self) -> None:
        """Look for a job, and for requests to stop one, now. Cheap; from any thread."""
        self._schedule.wake()
        self._stop_requests.wake()

    def ask_to_stop(self) -> None:
        """Start nothing new, and have the running jobs give back what is left; does not wait."""
        self._stop.cancel(StopReason.SHUTDOWN)
        self._schedule.wake()
        self._keeper.ask_to_stop()
        self._stop_requests.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Ask to stop, and wait for each thread that long."""
        self.ask_to_stop()
        if self._loop is not None:
            self._loop.join(patience.total_seconds())
        self._running.join(patience)
        self._keeper.stop(patience)
        self._stop_requests.stop(patience)

    def _claim_until_stopped(self) -> None:
        while not self._stop.is_cancelled:
            self._schedule.wait()
            if not self._slots.acquire(timeout=self._poll_interval.total_seconds()):
                continue
            if not self._claim_one():
                self._slots.release()

    def _claim_one(self) -> bool:
        """Claim a job and start its thread; False if there is none, or it cannot be run now. Uses up the slot if True.

        A job that this process still runs is left alone, even if its lease ran out while the store was unavailable.
        """
        if self._stop.is_cancelled:
            return False
        job, is_started = None, False
        self._schedule.begin_look()
        with log_exceptions(what="The claim of a job", then=f"will be tried again in {self._poll_interval}"):
            job = self._claims.claim(self._owner, self._lease, skip=self._running.ids())
        if job is not None:
            is_started = self._start(job)
        self._schedule.end_look(job if is_started else None)
        return is_started

    def _start(self, job: Job) -> bool:
        """Start the job's thread. Return False, with the job given back, if the system has none to give."""
        stop = self._stop.child()
        try:
            self._running.start(job, stop, lambda work: self._run(job, stop, work))
        except RuntimeError as error:
            _log.error("Job %s is given back, because no thread can be started for it: %s", job.id, error)
            with log_exceptions(what="The release of job", of=job.id, then=_LEFT):
                self._claims.release(job.claim)
            return False
        return True

    def _run(self, job: Job, stop: CancelToken, work: CancelToken) -> None:
        try:
            context = WorkContext(request_id=job.request_id, job_id=job.id)
            with working_on(context), log_exceptions(what="Job", of=job.id, then=_LEFT):
                self._run_unless_lost(job, stop, work)
        finally:
            self._running.remove(job)
            self._slots.release()

    def _run_unless_lost(self, job: Job, stop: CancelToken, work: CancelToken) -> None:
        try:
            self._run_job(job, stop, work)
        except LeaseLost as error:
            _log.warning("%s", error)
