"""What hosts hold in their caches, as they said when they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from precache.core.cache_contents import CacheContents
from precache.core.text import plain_line
from precache.core.transfer_rules import TransferRules


class HostStanding(StrEnum):
    """What became of the question to a host: it answered, it is down, or what it holds is unknown."""

    ANSWERED = "answered"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host of a survey.

    cell: None if it is not known; then the site is empty.
    cache_id: identifies its cache, which other hosts may share; empty if unknown.
    can_swarm: whether it is up and can pass images on to other hosts.
    contents: of a host that answered. reason: why it is unknown what the host holds; else empty.
    """

    standing: HostStanding
    cell: str | None = None
    site: str = ""
    contents: CacheContents = field(default_factory=CacheContents)
    reason: str = ""
    cache_id: str = ""
    can_swarm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", plain_line(self.reason))


@dataclass(frozen=True, slots=True)
class Survey:
    """The hosts, by name, and the limits with which the conductor calls them for its jobs.

    hosts_at_once: how many of all. hosts_per_cell, hosts_per_site: how many of one; None for no limit.
    host_bytes_per_s: the highest rate of each host; None for no limit.
    swarm: which hosts get images by swarm; None if none do. swarm_hosts_at_once: how many of these, in place of
        hosts_at_once.
    """

    reports: Mapping[str, HostReport]
    hosts_at_once: int
    hosts_per_cell: int | None = None
    hosts_per_site: int | None = None
    host_bytes_per_s: int | None = None
    swarm: TransferRules | None = None
    swarm_hosts_at_once: int = 0
