"""A host is in at most one availability zone: which zones keep hosts from being put into another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from precache.core.aggregates import Aggregate


def conflicting_zones(zone: str, hosts: Sequence[str], others: Iterable[Aggregate]) -> list[str]:
    """Return the zones other than `zone` that the hosts have through `others`, one for each such aggregate.

    others: all aggregates but the one that is to be in `zone`. Hosts without a zone cause no conflict.
    """
    wanted = set(hosts)
    return [
        other.availability_zone
        for other in others
        if other.availability_zone is not None
        and other.availability_zone != zone
        and not wanted.isdisjoint(other.hosts)
    ]
