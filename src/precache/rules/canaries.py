"""Which hosts of a job are its canaries: the first ones to be called, which decide about all others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from precache.core.job_options import Canary


def spread_first(hosts: Sequence[str], count: int, place_of: Callable[[str], tuple[str, str] | None]) -> list[str]:
    """Return `count` of the hosts, spread over cells, and over the sites of each cell.

    hosts: in the order of the request, each once; within a site they are chosen in this order.
    place_of: returns the cell and the site of a host; None if it has none. Such a host is chosen last, because it
        cannot be called.
    Equal arguments have equal results, so that another conductor chooses the same canaries.
    """
    turns: defaultdict[str | None, list[tuple[int, int, str]]] = defaultdict(list)
    of_site: defaultdict[tuple[str, str] | None, int] = defaultdict(int)
    for position, host in enumerate(hosts):
        place = place_of(host)
        turns[place and place[0]].append((of_site[place], position, host))
        of_site[place] += 1
    # The turn of a host within its cell: the first of each site, then the second of each.
    ranked = [
        (cell is None, turn, position, host)
        for cell, of_cell in turns.items()
        for turn, (_, position, host) in enumerate(sorted(of_cell))
    ]
    return [host for *_, host in sorted(ranked)[:count]]


def canary_count(canary: Canary, host_count: int) -> int:
    """Return how many of the hosts are canaries: at least one, a percentage rounded up."""
    wanted = canary.hosts if canary.hosts is not None else -(-host_count * (canary.percent or 0) // 100)
    return max(1, min(wanted, host_count))
