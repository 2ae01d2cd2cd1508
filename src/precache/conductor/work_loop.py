"""The conductor's process loop: claims jobs as they come, runs several at once, keeps their leases alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.background.log_exceptions import log_exceptions
from precache.background.periodic_task import PeriodicTask
from precache.background.threads import start_thread
from precache.core.errors import LeaseLost
from precache.core.jobs import Claim, Job
from precache.core.stopping import StopReason
from precache.core.work_context import WorkContext, working_on
from precache.ports.job_store import JobClaims, JobLeases

_log = logging.getLogger(__name__)

RunsJob = Callable[[Job, CancelToken], None]

EXTEND_RETRY = timedelta(seconds=1)
"""How soon an extension that failed is tried again: well before the lease ends."""

_LEFT = "it will be taken up when its lease runs out"


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a job; stop ends it, and its lease is extended as long as its thread lives."""

    claim: Claim
    stop: CancelToken
    thread: threading.Thread


class WorkLoop:
    """Claims and runs until it is stopped. `start` once, `wake` whenever there may be work, `stop` once.

    Its threads catch what their work raises. What ends one of them nevertheless is for the process to notice, which has
    to end then: jobs would lie unclaimed, or run without a lease.

    lease: how long a job stays with this process unless it is extended; it is extended three times as often.
    poll_interval: how long a job without a wake-up may wait; also how soon a dead conductor's job is found.
    jobs_at_once: how many jobs may be under way; their hosts share one pool.
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
        self._leases = leases
        self._run_job = run_job
        self._owner = owner
        self._lease = lease
        self._poll_interval = poll_interval
        self._start_thread = start_thread
        self._slots = threading.Semaphore(jobs_at_once)
        self._runs: dict[str, _Run] = {}  # by job: a job that runs here is not claimed again
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = CancelToken()
        self._loop: threading.Thread | None = None
        self._keeper = PeriodicTask(
            action=self._extend,
            interval=lease / 3,
            delay=lease / 3,
            retry_interval=EXTEND_RETRY,
            what="The extension of leases",
        )

    def start(self) -> None:
        self._loop = start_thread(self._claim_until_stopped, name="conductor")
        self._keeper.start()

    def wake(self) -> None:
        """Look for work now. Cheap; from any thread."""
        self._wake.set()

    def ask_to_stop(self) -> None:
        """Start nothing new, and have the running jobs give back what is left; does not wait."""
        self._stop.cancel(StopReason.SHUTDOWN)
        self._wake.set()
        self._keeper.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        """Ask to stop, and wait for each thread that long."""
        self.ask_to_stop()
        with self._lock:
            runners = [run.thread for run in self._runs.values()]
        for thread in (self._loop, *runners):
            if thread is not None:
                thread.join(patience.total_seconds())
        self._keeper.stop(patience)

    def _claim_until_stopped(self) -> None:
        while not self._stop.is_cancelled:
            if not self._slots.acquire(timeout=self._poll_interval.total_seconds()):
                continue
            self._wake.clear()  # before the look, so that a call during it is not lost
            if not self._claim_one():
                self._slots.release()
                self._wake.wait(self._poll_interval.total_seconds())

    def _claim_one(self) -> bool:
        """Claim a job and start its thread; False if there is none, or it cannot be run now. Uses up the slot if True.

        A job that this process still runs is left alone, even if its lease ran out while the store was unavailable.
        """
        if self._stop.is_cancelled:
            return False
        with self._lock:
            running = list(self._runs)
        job = None
        with log_exceptions(what="The claim of a job", then=f"will be tried again in {self._poll_interval}"):
            job = self._claims.claim(self._owner, self._lease, skip=running)
        return job is not None and self._start(job)

    def _start(self, job: Job) -> bool:
        """Start the job's thread. Return False, with the job given back, if the system has none to give."""
        stop = self._stop.child()
        try:
            with self._lock:  # so that the run is there before its thread ends
                thread = self._start_thread(lambda: self._run(job, stop), name=f"job-{job.id[:8]}")
                self._runs[job.id] = _Run(job.claim, stop, thread)
        except RuntimeError as error:
            _log.error("Job %s is given back, because no thread can be started for it: %s", job.id, error)
            with log_exceptions(what="The release of job", of=job.id, then=_LEFT):
                self._claims.release(job.claim)
            return False
        return True

    def _run(self, job: Job, stop: CancelToken) -> None:
        try:
            context = WorkContext(request_id=job.request_id, job_id=job.id)
            with working_on(context), log_exceptions(what="Job", of=job.id, then=_LEFT):
                self._run_unless_lost(job, stop)
        finally:
            with self._lock:
                self._runs.pop(job.id, None)
            self._slots.release()
            self._wake.set()

    def _run_unless_lost(self, job: Job, stop: CancelToken) -> None:
        try:
            self._run_job(job, stop)
        except LeaseLost as error:
            _log.warning("%s", error)

    def _extend(self) -> None:
        """Extend the leases of the runs that live, and stop those that are lost. Raises StoreUnavailable."""
        with self._lock:
            live = {run.claim: run for run in self._runs.values() if run.thread.is_alive()}
        for claim in self._leases.extend(list(live), self._lease) if live else ():
            with self._lock:
                still_runs = self._runs.get(claim.job_id) is live[claim]
            if still_runs:  # else it has just ended
                _log.warning("%s", LeaseLost(claim.job_id, claim.owner))
                live[claim].stop.cancel(StopReason.LEASE_LOST)
