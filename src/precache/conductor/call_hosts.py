"""Calls the hosts of a job, and records their results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from precache.conductor.ask_host import ask_host, same_result
from precache.conductor.cancel_hosts import CancelHosts
from precache.conductor.host_dispatcher import CallScheduler, HostDispatcher
from precache.conductor.job_run import LOOK_S, JobRun
from precache.core.errors import Stopped
from precache.core.hosts import Host
from precache.core.jobs import HostAsked, HostEnded, Outcome
from precache.core.stopping import StopReason
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest, ComputeGateway
from precache.rules.fan_out import FanOut

COMPUTE_STOPPED = "the host's compute was being stopped; send the request again when it runs"

STOP_PATIENCE = timedelta(seconds=4)
"""How long a stopped job waits for running calls; the next conductor repeats the slower ones."""


class CallHosts:
    """The use case. One object serves all jobs; `scheduler` limits how many hosts are called at once, over all jobs.

    stop_patience: how long a job that is to stop waits for running calls.
    """

    def __init__(
        self,
        *,
        gateway: ComputeGateway,
        clock: Clock,
        scheduler: CallScheduler,
        cancel_hosts: CancelHosts,
        stop_patience: timedelta = STOP_PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._scheduler = scheduler
        self._cancel_hosts = cancel_hosts
        self._stop_patience_s = stop_patience.total_seconds()

    def __call__(self, run: JobRun, by_cell: Mapping[str, tuple[Host, ...]]) -> None:
        """Call each host until none is left or the run is to stop. The last steps are noted, but not yet stored.

        While the store is unavailable, results are kept in memory and no further host is called. If the job is
        cancelled, the hosts are told to stop, and all tasks end.
        """
        dispatcher = HostDispatcher(
            hosts=FanOut(by_cell),
            ask=lambda host: self._ask(run, host),
            on_idle=run.steps.end,
            scheduler=self._scheduler,
        )
        try:
            self._follow(run, dispatcher)
        finally:
            dispatcher.pause()
        if run.is_cancelled:
            self._cancel_hosts(run, dispatcher, by_cell)
        if run.stop.is_cancelled:
            self._wait_for_answers(run, dispatcher)

    def _follow(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Call the hosts and store the results, until no host is left or there is a reason to stop."""
        while not run.work.is_cancelled:
            dispatcher.resume()
            # Read before the steps are taken, so that they include those of the last call. If it is idle with hosts
            # left, the system could start no thread: try again.
            is_idle = dispatcher.is_idle
            is_done = is_idle and not dispatcher.has_hosts_left
            if not is_done:
                run.work.wait(LOOK_S) if is_idle else run.wait_for_steps()
            run.note_steps()
            if is_done:
                return
            run.write_if_due(on_first_failure=dispatcher.pause)

    def _wait_for_answers(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Note the results that arrive soon. After a lost lease do not wait, because nothing can be stored."""
        is_lost = run.stop.reason is StopReason.LEASE_LOST
        give_up_at = time.monotonic() + (0.0 if is_lost else self._stop_patience_s)
        while not dispatcher.is_idle and time.monotonic() < give_up_at:
            run.wait_for_steps()
            run.note_steps()
            run.write_if_due()
        run.note_steps()

    def _ask(self, run: JobRun, host: Host) -> None:
        """Call the host unless the run is to stop; put a step into the run's queue before and after the call."""
        if run.work.is_cancelled:
            return
        orders, outdated = run.orders_for(host)
        cell = host.cell or ""
        if not orders:
            run.steps.put(HostEnded(host.name, outdated, self._clock.now(), cell))
            return
        request = CacheRequest(run.job.id, host.name, cell, orders)
        run.steps.put(HostAsked(host.name, cell, request.images, self._clock.now()))
        try:
            results = ask_host(self._gateway, request, run.work)
        except Stopped:
            if run.stop.is_cancelled:
                return  # The outcome is unknown; the host is called again when the job continues.
            # A compute that is being stopped ends its transfers, too.
            ended = (Outcome.CANCELLED, "") if run.is_cancelled else (Outcome.ERROR, COMPUTE_STOPPED)
            results = same_result(request.images, *ended)
        run.steps.put(HostEnded(host.name, (*results, *outdated), self._clock.now()))
