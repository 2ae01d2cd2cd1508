"""Calls the hosts of a job, and records their results."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta

from precache.conductor.admit_hosts import AdmitHosts, HostAdmission
from precache.conductor.ask_host import ask_host, stopped_results
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import LOOK_S, HostAnswer, JobRun
from precache.conductor.limit_rates import LimitRates
from precache.conductor.pause_excess import PauseExcess
from precache.conductor.stop_hosts import StopHosts
from precache.core.errors import Stopped, Unavailable
from precache.core.hosts import Host
from precache.core.jobs import HostAsked
from precache.core.stopping import StopReason
from precache.ports.clock import Clock
from precache.ports.compute_gateway import ComputeGateway, ImagesRequest
from precache.ports.job_store import JobQueries

_log = logging.getLogger(__name__)

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
        queries: JobQueries,
        scheduler: CallScheduler,
        admit_hosts: AdmitHosts,
        limit_rates: LimitRates,
        pause_excess: PauseExcess,
        stop_hosts: StopHosts,
        stop_patience: timedelta = STOP_PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._queries = queries
        self._scheduler = scheduler
        self._admit_hosts = admit_hosts
        self._limit_rates = limit_rates
        self._pause_excess = pause_excess
        self._stop_hosts = stop_hosts
        self._stop_patience_s = stop_patience.total_seconds()

    def __call__(self, run: JobRun) -> None:
        """Call each host until none is left or the run is to stop. The last steps are noted, but not yet stored.

        While the store is unavailable, results are kept in memory and no further host is called. If the job is stopped,
        its hosts are told to stop; its other tasks end, or remain.
        """
        dispatcher = HostDispatcher(
            claim=run.job.claim,
            stop=run.stop,
            ask=lambda host: self._ask(run, host),
            on_idle=run.events.end,
            scheduler=self._scheduler,
        )
        try:
            self._call_and_stop(run, dispatcher)
        except BaseException:
            dispatcher.abandon()
            raise
        dispatcher.close()

    def _call_and_stop(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        try:
            if not run.work.is_cancelled:
                self._follow(run, dispatcher, self._admit_hosts(run))
        except Unavailable:
            if run.ending is None:
                raise
            # An inventory that is unavailable does not keep the job from being stopped.
        finally:
            dispatcher.pause()
        if run.ending is not None:
            self._stop_hosts(run, dispatcher, run.ending)
        if run.stop.is_cancelled:
            self._wait_for_answers(run, dispatcher)

    def _follow(self, run: JobRun, dispatcher: HostDispatcher, admission: HostAdmission) -> None:
        """Call the hosts and store the results, until no host is left or there is a reason to stop."""
        self._use_options(run, dispatcher)
        while not run.work.is_cancelled:
            self._follow_changes(run, dispatcher)
            # Read before the events are taken, so that they include those of the last call.
            is_quiet = dispatcher.is_idle and not dispatcher.hosts_left
            for step in run.note_events():
                admission.note(step)
            due = admission.due_hosts(is_quiet=is_quiet)
            if is_quiet and not due and admission.is_empty:
                return
            if due:
                dispatcher.add(due, run.by_swarm)
            self._limit_rates.share(run, dispatcher, admission)
            dispatcher.resume()
            run.write_if_due(on_first_failure=dispatcher.pause)
            # If it is idle with hosts left, the system could start no thread: try again.
            run.work.wait(LOOK_S) if dispatcher.is_idle else run.wait_for_events()
            run.stop_if_due()

    def _follow_changes(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Use the options and orders that an operator has given the job since they were read."""
        if run.control.revision <= run.job.revision:
            return
        new = run.retry("The look for changes of", lambda: self._queries.get(run.job.id))
        # Only these fields: the claim stays the own one.
        run.job = replace(run.job, options=new.options, orders=new.orders, revision=new.revision)
        _log.info("Job %s was changed: %s", run.job.id, run.job.options.document())
        self._use_options(run, dispatcher)
        self._pause_excess(run, dispatcher)
        self._limit_rates.tell(run, dispatcher)

    def _use_options(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        options = run.job.options
        dispatcher.change(
            priority=options.priority,
            parallelism=options.parallelism,
            parallelism_per_site=options.parallelism_per_site,
        )

    def _wait_for_answers(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Note the results that arrive soon. After a lost lease do not wait, because nothing can be stored."""
        is_lost = run.stop.reason is StopReason.LEASE_LOST
        give_up_at = time.monotonic() + (0.0 if is_lost else self._stop_patience_s)
        while not dispatcher.is_idle and time.monotonic() < give_up_at:
            run.wait_for_events()
            run.note_events()
            run.write_if_due()
        run.note_events()

    def _ask(self, run: JobRun, host: Host) -> None:
        """Call the host unless the run is to stop; put an event into the run's queue before and after the call."""
        call = self._gateway.next_call()
        if run.work.is_cancelled:
            return
        orders, outdated = run.orders_for(host)
        cell = host.cell or ""
        if not orders:
            run.events.put(HostAnswer(host.name, outdated, self._clock.now(), cell))
            return
        request = ImagesRequest(
            run.job.id,
            host.name,
            cell,
            orders,
            retry_count=run.job.retry_count,
            priority=run.job.options.priority,
            call=call,
            operation=run.job.operation,
        )
        run.events.put(HostAsked(host.name, cell, request.images, self._clock.now()))
        try:
            results = ask_host(self._gateway, request, lambda: run.ending)
        except Stopped:
            if run.stop.is_cancelled:
                return  # The outcome is unknown; the host is called again when the job continues.
            results = stopped_results(request.images, run.ending)
        run.events.put(HostAnswer(host.name, (*results, *outdated), self._clock.now()))
