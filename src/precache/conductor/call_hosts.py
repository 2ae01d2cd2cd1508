"""Calls the hosts of a job, and records what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from precache.background.daemon_pool import DaemonPool
from precache.conductor.ask_host import ask_host
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import LOOK_S, JobRun
from precache.conductor.unasked import all_alike
from precache.core.errors import Stopped
from precache.core.hosts import Host
from precache.core.jobs import HostAsked, HostEnded, Outcome
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest, ComputeGateway
from precache.rules.fan_out import FanOut

COMPUTE_STOPPED = "the host's compute was being stopped; send the request again when it runs"

STOP_PATIENCE = timedelta(seconds=4)
"""How long a stopped job waits for hosts that are being called; the next conductor calls the slower ones again."""


class CallHosts:
    """The use case. One object serves all jobs; `pool` limits how many hosts are called at once, over all jobs.

    concurrency: how many threads the pool has.
    stop_patience: how long a job that is to stop waits for the hosts that are being called.
    """

    def __init__(
        self,
        *,
        gateway: ComputeGateway,
        clock: Clock,
        pool: DaemonPool,
        concurrency: int,
        stop_patience: timedelta = STOP_PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._pool = pool
        self._concurrency = concurrency
        self._stop_patience_s = stop_patience.total_seconds()

    def __call__(self, run: JobRun, by_cell: Mapping[str, tuple[Host, ...]]) -> None:
        """Call each host until none is left or the run is to stop. What came last is noted, but not yet stored.

        While the store is unavailable, the hosts' answers are kept and no further host is called.
        """
        dispatcher = HostDispatcher(
            hosts=FanOut(by_cell),
            ask=lambda host: self._ask(run, host),
            on_idle=run.steps.end,
            pool=self._pool,
            width=self._concurrency,
        )
        try:
            self._follow(run, dispatcher)
        finally:
            dispatcher.pause()

    def _follow(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        give_up_at: float | None = None
        is_over = False
        while not is_over:
            if not run.stop.is_cancelled:
                dispatcher.resume()
            elif give_up_at is None:
                dispatcher.pause()
                give_up_at = time.monotonic() + self._stop_patience_s
            # Read before the steps are taken: those of the last call are among them then. Idle with hosts left: the
            # system had no thread to give, and is asked for one again.
            is_idle = dispatcher.is_idle
            is_done = is_idle and (run.stop.is_cancelled or not dispatcher.has_hosts_left)
            is_over = is_done or (give_up_at is not None and time.monotonic() > give_up_at)
            if not is_over:
                run.stop.wait(LOOK_S) if is_idle else run.wait_for_steps()
            run.note_steps()
            if not is_over:
                run.write_if_due(on_first_failure=dispatcher.pause)

    def _ask(self, run: JobRun, host: Host) -> None:
        """Call the host unless the run is to stop; put a step into the run's queue before and after."""
        if run.stop.is_cancelled:
            return
        images, cell = run.remaining.images[host.name], host.cell or ""
        run.steps.put(HostAsked(host.name, cell, images, self._clock.now()))
        try:
            request = CacheRequest(run.job.id, host.name, cell, run.orders_of(images))
            results = tuple(ask_host(self._gateway, request))
        except Stopped:
            if run.stop.is_cancelled:
                return  # Nothing is known of the host; it is asked again when the job goes on.
            results = all_alike(images, Outcome.ERROR, COMPUTE_STOPPED)
        run.steps.put(HostEnded(host.name, results, self._clock.now()))
