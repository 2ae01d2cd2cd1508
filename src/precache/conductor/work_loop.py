"""The conductor's process loop: claims jobs as they come, runs several at once, keeps their leases alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.core.errors import LeaseLost, PrecacheError
from precache.core.jobs import Claim, Job
from precache.core.stopping import StopReason
from precache.core.work_context import WorkContext, working_on
from precache.ports.job_store import JobClaims, JobLeases

_log = logging.getLogger(__name__)

RunsJob = Callable[[Job, CancelToken], None]

EXTEND_RETRY_S = 1.0
"""How soon an extension that failed is tried again: well before the lease ends."""


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
    poll_interval: how long a job that nobody woke us for may lie; also how soon a dead conductor's job is seen.
    jobs_at_once: how many jobs may be under way; their hosts share one pool. new_thread: for each of them.
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
        new_thread: Callable[..., threading.Thread] = threading.Thread,
    ) -> None:
        self._claims = claims
        self._leases = leases
        self._run_job = run_job
        self._owner = owner
        self._lease = lease
        self._poll_interval = poll_interval
        self._new_thread = new_thread
        self._slots = threading.Semaphore(jobs_at_once)
        self._runs: dict[str, _Run] = {}  # by job: a job that runs here is not claimed again
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = CancelToken()
        self._loop = threading.Thread(target=self._claim_until_stopped, name="conductor", daemon=True)
        self._keeper = threading.Thread(target=self._extend_until_stopped, name="lease-keeper", daemon=True)

    def start(self) -> None:
        self._loop.start()
        self._keeper.start()

    def wake(self) -> None:
        """Look for work now. Cheap; from any thread."""
        self._wake.set()

    def ask_to_stop(self) -> None:
        """Start nothing new, and have the running jobs give back what is left; does not wait."""
        self._stop.cancel(StopReason.SHUTDOWN)
        self._wake.set()

    def stop(self, patience: timedelta) -> None:
        """Ask to stop, and wait for each thread that long."""
        self.ask_to_stop()
        with self._lock:
            runners = [run.thread for run in self._runs.values()]
        for thread in (self._loop, *runners, self._keeper):
            if thread.is_alive():
                thread.join(patience.total_seconds())

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
        try:
            job = self._claims.claim(self._owner, self._lease, skip=running)
        except PrecacheError as error:
            _log.warning("No job could be claimed: %s; trying again in %s", error, self._poll_interval)
            return False
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("No job could be claimed; trying again in %s", self._poll_interval)
            return False
        return job is not None and self._start(job)

    def _start(self, job: Job) -> bool:
        """Start the job's thread. Return False, with the job given back, if the system has none to give."""
        stop = self._stop.child()
        thread = self._new_thread(target=self._run, args=(job, stop), name=f"job-{job.id[:8]}", daemon=True)
        with self._lock:
            self._runs[job.id] = _Run(job.claim, stop, thread)
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                del self._runs[job.id]
            _log.error("Job %s is given back, because no thread can be started for it: %s", job.id, error)
            self._give_back(job)
            return False
        return True

    def _give_back(self, job: Job) -> None:
        try:
            self._claims.release(job.claim)
        except PrecacheError as error:
            _log.warning("Job %s will be taken up when its lease runs out: %s", job.id, error)
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("Job %s will be taken up when its lease runs out", job.id)

    def _run(self, job: Job, stop: CancelToken) -> None:
        try:
            with working_on(WorkContext(request_id=job.request_id, job_id=job.id)):
                self._run_job(job, stop)
        except LeaseLost as error:
            _log.warning("%s", error)
        except PrecacheError as error:
            _log.warning("Job %s is interrupted and will be taken up when its lease runs out: %s", job.id, error)
        except Exception:  # noqa: BLE001  the process loop: one job's bug must not stop the others
            _log.exception("Job %s is interrupted by a bug and will be taken up when its lease runs out", job.id)
        finally:
            with self._lock:
                self._runs.pop(job.id, None)
            self._slots.release()
            self._wake.set()

    def _extend_until_stopped(self) -> None:
        usual_s = self._lease.total_seconds() / 3
        pause_s = usual_s
        while not self._stop.wait(pause_s):
            pause_s = usual_s if self._extend() else min(usual_s, EXTEND_RETRY_S)

    def _extend(self) -> bool:
        """Extend the leases of the runs that live, and stop those that are lost; False if some remain to be tried."""
        with self._lock:
            live = {run.claim: run for run in self._runs.values() if run.thread.is_alive()}
        if not live:
            return True
        try:
            lost = self._leases.extend(list(live), self._lease)
        except PrecacheError as error:
            _log.warning("Leases of %i job(s) could not be extended: %s", len(live), error)
            return False
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("Leases of %i job(s) could not be extended", len(live))
            return False
        for claim in lost:
            with self._lock:
                still_runs = self._runs.get(claim.job_id) is live[claim]
            if still_runs:  # else it has just ended
                _log.warning("%s", LeaseLost(claim.job_id, claim.owner))
                live[claim].stop.cancel(StopReason.LEASE_LOST)
        return True
