"""In which order the hosts of a relay are called: they stand in the chain about as they join."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledHost:
    """What is known of a host before it is called.

    busy_tasks: that it works on, for other jobs.
    uplink_bytes_per_s, link_bytes_per_s: as of `RelayMember`; 0 while unknown.
    """

    host: str
    busy_tasks: int = 0
    uplink_bytes_per_s: int = 0
    link_bytes_per_s: int = 0


def call_order(hosts: Iterable[CalledHost]) -> list[str]:
    """Return the names in the order in which the hosts are to be called.

    First the seeder, then its stand-by: with no slow link, the fewest other tasks, and the best uplink. Then the
    others, those with fast links first; one whose link is unknown counts as a typical one. Ties keep their order.
    """
    found = list(hosts)
    known = [each.link_bytes_per_s for each in found if each.link_bytes_per_s]
    typical = median(known) if known else 0

    def link(each: CalledHost) -> float:
        return each.link_bytes_per_s or typical

    def as_seeder(each: CalledHost) -> tuple[bool, int, float]:
        return link(each) < typical / 2, each.busy_tasks, -each.uplink_bytes_per_s

    seeders = sorted(found, key=as_seeder)[:2]
    others = sorted((each for each in found if each not in seeders), key=lambda each: -link(each))
    return [each.host for each in [*seeders, *others]]
