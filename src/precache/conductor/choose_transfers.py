"""Decides which hosts of a job get its images by swarm, before they are called."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from precache.conductor.job_run import JobRun
from precache.core.host_calls import Place
from precache.core.hosts import Host
from precache.core.operations import Operation
from precache.core.text import number_of
from precache.core.transfer_rules import TransferRules
from precache.ports.inventory import HostQueries
from precache.rules.relay_sites import sites_above
from precache.rules.transfer_choice import (
    SwarmHost,
    TransferChoice,
    can_take_part,
    choose_transfers,
)

_log = logging.getLogger(__name__)

Order = Callable[[Sequence[Host]], Sequence[Host]]
"""Returns the hosts of one site in the order in which they are to be called."""


def _as_they_are(hosts: Sequence[Host]) -> Sequence[Host]:
    return hosts


@dataclass(frozen=True, slots=True)
class SwarmDispatch:
    """How the hosts of this conductor take part in swarms.

    needed: the version of the messages that a host must understand; empty if there are none between the processes.
    pin: the newest version that may be used. order: of the hosts of one site.
    """

    rules: TransferRules = field(default_factory=TransferRules)
    needed: str = ""
    pin: str | None = None
    order: Order = _as_they_are


class ChooseTransfers:
    """The use case. One object serves all jobs.

    service_down_time: as of `GroupHosts`. swarm: None if no host takes part in swarms.
    """

    def __init__(self, *, hosts: HostQueries, service_down_time: timedelta, swarm: SwarmDispatch | None) -> None:
        self._hosts = hosts
        self._service_down_time = service_down_time
        self._swarm = swarm

    def __call__(self, run: JobRun, hosts: Sequence[Host]) -> list[Host]:
        """Choose for these hosts of the job, which are called next, and return them in the order of the calls.

        All hosts of the job that are up count for the choice, also those that have ended or come later. So it does not
        depend on when the job was interrupted. Raises Unavailable if the inventory is unavailable when the run is to
        stop.
        """
        swarm = self._swarm
        if swarm is None or run.job.operation is not Operation.CACHE or not hosts:
            return list(hosts)
        chosen = self._chosen(run, swarm)
        by_place: dict[Place, list[Host]] = {}
        for host in hosts:
            by_place.setdefault(_place(host), []).append(host)
        # The first host that joins a relay is its seeder, and no host receives from a site below its own.
        from_the_top = sorted(by_place, key=lambda place: len(sites_above(place.site, swarm.rules.site_parents)))
        ordered: list[Host] = []
        for place in from_the_top:
            of_place = by_place[place]
            is_swarm = place in chosen and chosen[place].by_swarm
            for host in of_place:
                takes_part = is_swarm and can_take_part(host, swarm.needed, swarm.pin)
                (run.by_swarm.add if takes_part else run.by_swarm.discard)(host.name)
            ordered += swarm.order(of_place) if is_swarm else of_place
        _log_choice(run, {place: chosen[place] for place in by_place if place in chosen})
        return ordered

    def _chosen(self, run: JobRun, swarm: SwarmDispatch) -> Mapping[Place, TransferChoice]:
        unknown = [name for name in run.remaining.hosts if name not in run.known]
        if unknown:
            look = "The look for the hosts of"
            run.known.update(run.retry(look, lambda: self._hosts.find_hosts(unknown), until=run.work))
        known = (run.known[name] for name in run.remaining.hosts if name in run.known)
        up = [host for host in known if host.cell is not None and host.is_up(self._service_down_time)]
        return choose_transfers(
            run.job.options.transfer,
            swarm.rules,
            (SwarmHost(_place(host), can_take_part(host, swarm.needed, swarm.pin), host.cache_id) for host in up),
        )


def _place(host: Host) -> Place:
    return Place(host.cell or "", host.site)


def _log_choice(run: JobRun, chosen: Mapping[Place, TransferChoice]) -> None:
    by_swarm = [place for place, choice in chosen.items() if choice.by_swarm]
    if by_swarm:
        _log.info(
            "Job %s goes by swarm in %s of %i, such as %s: %s",
            run.job.id, number_of(len(by_swarm), "site"), len(chosen), by_swarm[0].site, chosen[by_swarm[0]].reason,
        )  # fmt: skip
