"""How long the downloads of a job would take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Download:
    """One missing image on a host. limit_bytes_per_s: of this download; None for no limit."""

    size_bytes: int
    limit_bytes_per_s: int | None = None

    def seconds(self, bytes_per_s: float) -> float:
        """Return the time at this rate of the network."""
        limit = self.limit_bytes_per_s
        return self.size_bytes / (bytes_per_s if limit is None else min(limit, bytes_per_s))


@dataclass(frozen=True, slots=True)
class HostWork:
    """The downloads of one host, which come one after another."""

    cell: str
    site: str
    downloads: tuple[Download, ...]


@dataclass(frozen=True, slots=True)
class Turns:
    """How much a job does at once. None for no limit. bytes_per_s: of all hosts together."""

    hosts: int
    hosts_per_site: int | None = None
    hosts_per_cell: int | None = None
    bytes_per_s: int | None = None
    host_bytes_per_s: int | None = None


def seconds_of_work(work: Iterable[HostWork], rates: Mapping[str, float], turns: Turns) -> float | None:
    """Return the time in which all hosts are done; None if the rate of a cell that has work is not known.

    rates: in bytes per second, by cell, of one download while others run beside it. They contain what the network and
    the image service gave at that time, so the estimate assumes the same load. Hosts differ little within a cell, so
    turns are never idle until the last ones.
    """
    by_site: defaultdict[str, list[float]] = defaultdict(list)
    by_cell: defaultdict[str, list[float]] = defaultdict(list)
    total_bytes = 0
    for host in work:
        if not host.downloads:
            continue
        rate = rates.get(host.cell)
        if rate is None:
            return None
        allowed = rate if turns.host_bytes_per_s is None else min(rate, turns.host_bytes_per_s)
        seconds = sum(each.seconds(allowed) for each in host.downloads)
        by_site[host.site].append(seconds)
        by_cell[host.cell].append(seconds)
        total_bytes += sum(each.size_bytes for each in host.downloads)
    every = [seconds for cell in by_cell.values() for seconds in cell]
    bounds = [0.0, _in_turns(every, turns.hosts)]
    if turns.hosts_per_site is not None:
        bounds += [_in_turns(site, turns.hosts_per_site) for site in by_site.values()]
    if turns.hosts_per_cell is not None:
        bounds += [_in_turns(cell, turns.hosts_per_cell) for cell in by_cell.values()]
    if turns.bytes_per_s is not None:
        bounds.append(total_bytes / turns.bytes_per_s)
    return max(bounds)


def _in_turns(seconds: Sequence[float], at_once: int) -> float:
    """Return how long hosts take of which so many work at once: as all together, but not less than the slowest."""
    return max(sum(seconds) / at_once, max(seconds, default=0.0))
