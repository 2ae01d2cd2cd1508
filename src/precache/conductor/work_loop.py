"""The conductor's process loop: claims jobs as they come, runs several at once, keeps their leases alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from precache.core.errors import LeaseLost, PrecacheError
from precache.core.jobs import Job
from precache.core.work_context import WorkContext, working_on
from precache.ports.clock import Clock
from precache.ports.job_store import JobClaims

_log = logging.getLogger(__name__)

RunsJob = Callable[[Job, threading.Event], None]


class WorkLoop:
    """Claims and runs until it is stopped. `start` once, `wake` whenever there may be work, `stop` once.

    lease: how long a job stays ours without a word from us; it is extended three times as often.
    poll_interval: how long a job that nobody woke us for may lie; also how soon a dead conductor's job is seen.
    jobs_at_once: how many jobs may be under way; their hosts share one pool.
    """

    def __init__(
        self,
        *,
        claims: JobClaims,
        run_job: RunsJob,
        clock: Clock,
        owner: str,
        lease: timedelta,
        poll_interval: timedelta,
        jobs_at_once: int,
    ) -> None:
        self._claims = claims
        self._run_job = run_job
        self._clock = clock
        self._owner = owner
        self._lease = lease
        self._poll_interval = poll_interval
        self._slots = threading.Semaphore(jobs_at_once)
        self._stops: dict[str, threading.Event] = {}
        self._runners: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
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
        self._stopping.set()
        self._wake.set()
        with self._lock:
            for stop in self._stops.values():
                stop.set()

    def stop(self, patience: timedelta) -> None:
        """Ask to stop, and wait for each thread that long."""
        self.ask_to_stop()
        with self._lock:
            runners = list(self._runners)
        for thread in (self._loop, *runners, self._keeper):
            if thread.is_alive():
                thread.join(patience.total_seconds())

    def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            if not self._slots.acquire(timeout=self._poll_interval.total_seconds()):
                continue
            self._wake.clear()  # before the look, so that a call during it is not lost
            if not self._claim_one():
                self._slots.release()
                self._wake.wait(self._poll_interval.total_seconds())

    def _claim_one(self) -> bool:
        """Claim a job and start its thread; False if there is none, or we are stopping. Uses up the slot if True."""
        if self._stopping.is_set():
            return False
        try:
            job = self._claims.claim(self._owner, self._clock.now(), self._lease)
        except PrecacheError as error:
            _log.warning("No job could be claimed: %s; trying again in %s", error, self._poll_interval)
            return False
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("No job could be claimed; trying again in %s", self._poll_interval)
            return False
        if job is None:
            return False
        stop = threading.Event()
        runner = threading.Thread(target=self._run, args=(job, stop), name=f"job-{job.id[:8]}", daemon=True)
        with self._lock:
            self._stops[job.id] = stop
            self._runners.add(runner)
            if self._stopping.is_set():
                stop.set()
        runner.start()
        return True

    def _run(self, job: Job, stop: threading.Event) -> None:
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
                self._stops.pop(job.id, None)
                self._runners.discard(threading.current_thread())
            self._slots.release()
            self._wake.set()

    def _extend_until_stopped(self) -> None:
        while not self._stopping.wait(self._lease.total_seconds() / 3):
            with self._lock:
                held = list(self._stops.items())
            for job_id, stop in held:
                self._extend(job_id, stop)

    def _extend(self, job_id: str, stop: threading.Event) -> None:
        try:
            self._claims.extend(job_id, self._owner, self._clock.now(), self._lease)
        except LeaseLost as error:
            with self._lock:
                still_ours = job_id in self._stops
            if still_ours:  # else it has just ended
                _log.warning("%s", error)
                stop.set()
        except PrecacheError as error:
            _log.warning("The lease of job %s could not be extended: %s", job_id, error)
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("The lease of job %s could not be extended", job_id)
