"""How long the downloads of a job would take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from precache.rules.relay_places import hop_s


@dataclass(frozen=True, slots=True)
class Download:
    """One missing image on a host. limit_bytes_per_s: of this download; None for no limit. image: differs for each."""

    size_bytes: int
    limit_bytes_per_s: int | None = None
    image: str = ""

    def seconds(self, bytes_per_s: float) -> float:
        """Return the time at this rate of the network."""
        limit = self.limit_bytes_per_s
        return self.size_bytes / (bytes_per_s if limit is None else min(limit, bytes_per_s))


@dataclass(frozen=True, slots=True)
class HostWork:
    """The downloads of one host, which come one after another.

    by_swarm: it gets the images while another host of its site does, and passes them on.
    relay_site: the site in whose relays it takes part then.
    """

    cell: str
    site: str
    downloads: tuple[Download, ...]
    by_swarm: bool = False
    relay_site: str = ""


@dataclass(frozen=True, slots=True)
class Turns:
    """How much a job does at once. None for no limit.

    hosts: without those by swarm. swarm_hosts: of these.
    bytes_per_s: of all that the image service sends. origins_per_relay: how many hosts of a relay it sends an image to.
    """

    hosts: int
    hosts_per_site: int | None = None
    hosts_per_cell: int | None = None
    bytes_per_s: int | None = None
    host_bytes_per_s: int | None = None
    swarm_hosts: int = 1
    origins_per_relay: int = 1


MOST_LAG_S = 0.1
"""By how much a host of a chain is behind its parent on slow links; measured: 0.03 to 0.09 s."""


def seconds_of_work(work: Sequence[HostWork], rates: Mapping[str, float], turns: Turns) -> float | None:
    """Return the time in which all hosts are done; None if the rate of a cell that has work is not known.

    rates: in bytes per second, by cell, of one download while others run beside it. They contain what the network and
    the image service gave at that time, so the estimate assumes the same load. Hosts differ little within a cell, so
    turns are never idle until the last ones.
    """
    swarms = Counter((host.cell, host.site) for host in work if host.by_swarm and host.downloads)
    seconds: dict[bool, list[float]] = {False: [], True: []}  # by whether it is by swarm
    by_site: defaultdict[str, list[float]] = defaultdict(list)
    by_cell: defaultdict[str, list[float]] = defaultdict(list)
    for host in work:
        if not host.downloads:
            continue
        rate = rates.get(host.cell)
        if rate is None:
            return None
        allowed = rate if turns.host_bytes_per_s is None else min(rate, turns.host_bytes_per_s)
        taken = sum(each.seconds(allowed) for each in host.downloads)
        if host.by_swarm:
            taken += min(hop_s(allowed), MOST_LAG_S) * (min(swarms[host.cell, host.site], turns.swarm_hosts) - 1)
        seconds[host.by_swarm].append(taken)
        by_site[host.site].append(taken)
        by_cell[host.cell].append(taken)
    bounds = [0.0, _in_turns(seconds[False], turns.hosts), _in_turns(seconds[True], turns.swarm_hosts)]
    if turns.hosts_per_site is not None:
        bounds += [_in_turns(site, turns.hosts_per_site) for site in by_site.values()]
    if turns.hosts_per_cell is not None:
        bounds += [_in_turns(cell, turns.hosts_per_cell) for cell in by_cell.values()]
    if turns.bytes_per_s is not None:
        bounds.append(sum(image_service_bytes(work, turns.origins_per_relay)) / turns.bytes_per_s)
    return max(bounds)


def image_service_bytes(work: Sequence[HostWork], origins_per_relay: int = 1) -> list[int]:
    """Return what the image service sends to each host; of a relay only to so many hosts, first those of its site."""
    sent = [0] * len(work)
    origins: Counter[tuple[str, str, Download]] = Counter()
    for number, host in sorted(enumerate(work), key=lambda each: each[1].site != each[1].relay_site):
        for each in host.downloads:
            relay = (host.cell, host.relay_site, each)
            origins[relay] += host.by_swarm
            if not host.by_swarm or origins[relay] <= origins_per_relay:
                sent[number] += each.size_bytes
    return sent


def _in_turns(seconds: Sequence[float], at_once: int) -> float:
    """Return how long hosts take of which so many work at once: as all together, but not less than the slowest."""
    return max(sum(seconds) / at_once, max(seconds, default=0.0))
