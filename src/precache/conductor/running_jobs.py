"""The jobs that run in this process: extends the lease of each while its thread runs, and stops it if requested."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from precache.background.threads import start_thread
from precache.conductor.job_control import JobControl
from precache.core.errors import LeaseLost
from precache.core.jobs import Claim, Job
from precache.core.stopping import StopReason
from precache.ports.job_store import JobLeases

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _RunningJob:
    claim: Claim
    control: JobControl
    thread: threading.Thread


class RunningJobs:
    """The running jobs and their threads. Thread-safe.

    lease: how long a job stays with this process unless it is extended.
    start_thread: starts the thread of a job.
    """

    def __init__(
        self, *, leases: JobLeases, lease: timedelta, start_thread: Callable[..., threading.Thread] = start_thread
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._start_thread = start_thread
        self._runs: dict[str, _RunningJob] = {}
        self._lock = threading.Lock()

    def start(self, job: Job, control: JobControl, run: Callable[[], None]) -> None:
        """Start the job's thread. Raises RuntimeError if the system can start no further thread.

        control: tells the job what becomes of its lease, and what operators want. `run` calls `remove` at its end.
        """
        with self._lock:  # so that the job is registered before its thread can end
            thread = self._start_thread(run, name=f"job-{job.id[:8]}")
            self._runs[job.id] = _RunningJob(job.claim, control, thread)

    def remove(self, job: Job) -> None:
        with self._lock:
            self._runs.pop(job.id, None)

    def ids(self) -> list[str]:
        """Return the jobs that run here; they must not be claimed again, even if their leases have expired."""
        with self._lock:
            return list(self._runs)

    def join(self, patience: timedelta) -> None:
        """Wait at most that long for the thread of each job."""
        with self._lock:
            threads = [run.thread for run in self._runs.values()]
        for thread in threads:
            thread.join(patience.total_seconds())

    def extend_leases(self) -> None:
        """Extend the leases, and stop the jobs whose lease is lost. Raises StoreUnavailable."""
        live = self._live()
        for claim in self._leases.extend(list(live), self._lease) if live else ():
            if self._still_runs(live[claim]):
                _log.warning("%s", LeaseLost(claim.job_id, claim.owner))
                live[claim].control.stop.cancel(StopReason.LEASE_LOST)

    def read_steering(self) -> None:
        """Stop the work of jobs for which operators have requested it, and tell the others of changed options.

        Raises StoreUnavailable.
        """
        live = {claim: run for claim, run in self._live().items() if not run.control.work.is_cancelled}
        for claim, steering in self._leases.steering(list(live)).items() if live else ():
            live[claim].control.revision = steering.revision
            if steering.stop is not None:
                live[claim].control.work.cancel(steering.stop)

    def _live(self) -> dict[Claim, _RunningJob]:
        with self._lock:
            return {run.claim: run for run in self._runs.values() if run.thread.is_alive()}

    def _still_runs(self, run: _RunningJob) -> bool:
        with self._lock:
            return self._runs.get(run.claim.job_id) is run
