"""Keeps the limits of a job's rates while it runs: when an operator changes them, and when fewer hosts share them."""

from __future__ import annotations

import logging

from precache.background.daemon_pool import DaemonPool
from precache.conductor.admit_hosts import HostAdmission
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import JobRun
from precache.core.errors import ComputeOutdated, PrecacheError
from precache.core.host_calls import Place
from precache.core.transfer_rules import TransferRules
from precache.ports.compute_gateway import ComputeGateway, Rates
from precache.rules.rate_shares import is_worth_telling, share_of
from precache.rules.transfer_choice import place_of_relay

_log = logging.getLogger(__name__)


class LimitRates:
    """The use case. One object serves all jobs.

    pool: of the threads that tell hosts. concurrency: the most hosts that are called at once, without those by swarm.
    transfers: how many of these fetch an image from the image service.
    """

    def __init__(
        self, *, gateway: ComputeGateway, pool: DaemonPool, concurrency: int, transfers: TransferRules
    ) -> None:
        self._gateway = gateway
        self._pool = pool
        self._concurrency = concurrency
        self._transfers = transfers

    def share(self, run: JobRun, dispatcher: HostDispatcher, admission: HostAdmission) -> None:
        """Tell each host its share of the limit, if that has changed enough."""
        options = run.job.options
        if options.job_rate_limit_bytes_per_s is None and run.share_bytes_per_s is None:
            return
        later, relays = admission.waiting, set[Place]()
        if run.by_swarm:
            places = {Place(host.cell or "", host.site) for host in later if host.name in run.by_swarm}
            places |= {Place(*place) for place in dispatcher.swarm_places()}
            relays = {place_of_relay(place, self._transfers) for place in places}
            later = [host for host in later if host.name not in run.by_swarm]
        direct = min(self._concurrency, dispatcher.most_at_once(later))
        # What hosts of a swarm pass on to each other does not count: the limit is of what the image service sends.
        at_once = direct + self._transfers.attestations * len(relays)
        at_once = max(1, min(at_once, options.parallelism or at_once))
        share = share_of(options.job_rate_limit_bytes_per_s, at_once)
        if is_worth_telling(run.share_bytes_per_s, share):
            run.share_bytes_per_s = share
            self.tell(run, dispatcher)

    def tell(self, run: JobRun, dispatcher: HostDispatcher) -> None:
        """Tell the hosts that are being called the rates that apply now; do not wait."""
        for host, cell in dispatcher.in_progress().items():
            if host in run.outdated:
                continue
            orders = run.orders_of(run.recorder.unended.get(host, ()))
            rates = {order.image: order.options.rate_limit_bytes_per_s for order in orders}
            try:
                self._pool.submit(self._tell_host, run, host, cell, rates)
            except RuntimeError as error:  # the system can start no further thread
                _log.warning("Host %s keeps its former rates for job %s: %s", host, run.job.id, error)

    def _tell_host(self, run: JobRun, host: str, cell: str, rates: Rates) -> None:
        try:
            self._gateway.limit(run.job.id, host, cell, rates)
        except PrecacheError as error:
            if isinstance(error, ComputeOutdated):
                run.outdated.add(host)
            _log.warning("Host %s keeps its former rates for job %s: %s", host, run.job.id, error)
