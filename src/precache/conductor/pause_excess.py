"""Pauses the hosts that a job calls beyond its limits, after an operator has lowered these."""

from __future__ import annotations

import logging

from precache.background.daemon_pool import DaemonPool
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import JobRun
from precache.core.errors import PrecacheError
from precache.ports.compute_gateway import ComputeGateway

_log = logging.getLogger(__name__)


class PauseExcess:
    """The use case. One object serves all jobs. pool: of the threads that tell hosts."""

    def __init__(self, *, gateway: ComputeGateway, pool: DaemonPool) -> None:
        self._gateway = gateway
        self._pool = pool

    def __call__(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Tell the hosts that began last to pause; do not wait. Their answers put their tasks back."""
        for host, cell in dispatcher.excess().items():
            _log.info("Host %s is paused: job %s may call fewer hosts now", host, run.job.id)
            try:
                self._pool.submit(self._pause, run.job.id, host, cell, run.job.retry_count)
            except RuntimeError as error:  # the system can start no further thread
                _log.warning("Host %s finishes its images for job %s: %s", host, run.job.id, error)

    def _pause(self, job_id: str, host: str, cell: str, retry_count: int) -> None:
        try:
            self._gateway.pause(job_id, host, cell, retry_count)
        except PrecacheError as error:
            _log.warning("Host %s finishes its images for job %s: %s", host, job_id, error)
