"""Calls to hosts, and the limits of how many hosts are called at once over all jobs and conductors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    hosts: how many, by place.
    most, most_per_site: of all hosts of the job at a time, and of those of one site, by its options; None for no limit.
    room: how many further hosts its conductor can call, for all its jobs together.
    """

    hosts: Mapping[Place, int]
    most: int | None = None
    most_per_site: int | None = None
    room: int = 0


@dataclass(frozen=True, slots=True)
class JobCalls:
    """What a conductor has and wants for one of its jobs.

    held: the hosts that it calls, or is about to call, with permits.
    wanted: those that it could call in addition, in their order.
    most, most_per_site, room: as in `Wish`.
    """

    claim: Claim
    priority: int
    held: tuple[HostCall, ...] = ()
    wanted: tuple[HostCall, ...] = ()
    most: int | None = None
    most_per_site: int | None = None
    room: int = 0
