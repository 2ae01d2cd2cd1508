"""Calls to hosts, and the limits of how many hosts are called at once over all jobs and conductors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from precache.core.jobs import Claim


class Place(NamedTuple):
    """Where a host is, as far as limits are concerned."""

    cell: str
    site: str


@dataclass(frozen=True, slots=True)
class HostCall:
    """A host that is called for a job, or is to be called."""

    host: str
    place: Place


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The most hosts that are called at a time: of all, of one cell, of one site. 0 for no limit."""

    hosts: int = 0
    hosts_per_cell: int = 0
    hosts_per_site: int = 0

    @property
    def are_set(self) -> bool:
        return self != NO_LIMITS


NO_LIMITS = CallLimits()


@dataclass(frozen=True, slots=True)
class Wish:
    """The hosts that a job could call in addition.

    hosts: how many, by place. swarm_hosts: the same of those that get their images by swarm.
    most, most_per_site: of all hosts of the job at a time, and of those of one site, by its options; None for no limit.
    room, swarm_room: how many further hosts of either kind its conductor can call, for all its jobs together.
    """

    hosts: Mapping[Place, int]
    most: int | None = None
    most_per_site: int | None = None
    room: int = 0
    swarm_hosts: Mapping[Place, int] = field(default_factory=dict)
    swarm_room: int = 0


@dataclass(frozen=True, slots=True)
class JobCalls:
    """What a conductor has and wants for one of its jobs.

    held: the hosts that it calls, or is about to call, with permits.
    wanted: those that it could call in addition, in their order. swarm_wanted: the same by swarm.
    most, most_per_site, room, swarm_room: as in `Wish`.
    """

    claim: Claim
    priority: int
    held: tuple[HostCall, ...] = ()
    wanted: tuple[HostCall, ...] = ()
    most: int | None = None
    most_per_site: int | None = None
    room: int = 0
    swarm_wanted: tuple[HostCall, ...] = ()
    swarm_room: int = 0

    def could_use_more_than(self, given: int) -> bool:
        """Return whether the job could call more further hosts than this number."""
        wanted = [*(self.wanted if self.room else ()), *(self.swarm_wanted if self.swarm_room else ())]
        return len(wanted) > given
