"""The hosts of the simulated sites: how many there are, how fast they are, and what befalls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

MBIT = 125_000
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SimHost:
    """rate: of its link in both directions, in bytes per second. known_rate: as the conductor knows it; 0 if unknown.

    jitter: its rate changes each epoch, evenly from (1 - jitter) to (1 + jitter) of itself.
    called_at: when the conductor calls it. The next are in seconds after that, None if it does not happen:
    dies_at: its process is killed. powers_off_at: it stops without a word. slows_at: its rate becomes `slows_to` of it.
    """

    rate: float
    known_rate: float = 0
    jitter: float = 0.0
    called_at: float = 0.0
    dies_at: float | None = None
    powers_off_at: float | None = None
    slows_at: float | None = None
    slows_to: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSite:
    """hosts: in the order in which they are called. rate: of most links. size_bytes: of the file that all get.

    seeder_dies_at: in seconds, the host that fetches from the image service then is killed; None if it is not.
    """

    name: str
    size_bytes: int
    rate: float
    hosts: tuple[SimHost, ...]
    seeder_dies_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Shares of hosts, and ranges of rates and sizes, from which sites are drawn.

    slow: hosts with a quarter of the rate. known: hosts whose rate the conductor knows from earlier. jumpy: hosts
    with a jitter of 50 %; the others have `jitter`. straggling: hosts whose rate falls to 1/20 while they receive.
    dying: half of them are killed, half lose their power. seeders_dying: sites whose seeder is killed, besides.
    late: called while the others receive, or after that.
    """

    sizes: tuple[int, ...] = (1024 * MIB, 2048 * MIB, 4096 * MIB)
    rates: tuple[float, ...] = (400 * MBIT, 1000 * MBIT)
    calls_per_s: float = 1000.0
    slow: float = 0.02
    known: float = 1.0
    jumpy: float = 0.02
    jitter: float = 0.05
    straggling: float = 0.002
    dying: float = 0.002
    seeders_dying: float = 0.005
    late: float = 0.1


@dataclass(slots=True)
class _Calls:
    """When the next host is called: the sites share the conductors."""

    per_s: float
    made: dict[str, int] = field(default_factory=dict)


def site_sizes(hosts: int, random: Random, least: int = 8, most: int = 500) -> Iterator[int]:
    """Yield the numbers of hosts of sites, until these are all: many small sites and few large ones, some 33 each."""
    while hosts > 0:
        drawn = least / (1 - random.random() * (1 - least / most))
        count = min(round(drawn), hosts)
        yield count
        hosts -= count


def draw_site(name: str, count: int, world: World, random: Random) -> SimSite:
    size, rate = random.choice(world.sizes), random.choice(world.rates)
    floor = size / rate
    hosts = []
    for position in range(count):
        host = _draw_host(world, rate, floor, random)
        if position:
            host = replace(host, called_at=_call(world, position, floor, random))
        hosts.append(host)
    # As `call_order` has it: the first one is the best, and hosts that are known to be slow come last.
    ordered = [hosts[0], *sorted(hosts[1:], key=lambda host: (0 < host.known_rate < rate / 2, host.called_at))]
    times = sorted(host.called_at for host in ordered if host.called_at <= count / world.calls_per_s)
    punctual = iter(times)
    return SimSite(
        name=name,
        size_bytes=size,
        rate=rate,
        seeder_dies_at=random.uniform(0.05, 0.95) * floor if random.random() < world.seeders_dying else None,
        hosts=tuple(
            replace(host, called_at=next(punctual)) if host.called_at <= count / world.calls_per_s else host
            for host in ordered
        ),
    )


def _call(world: World, position: int, floor: float, random: Random) -> float:
    if random.random() < world.late:
        return random.uniform(0.1, 2.0) * floor
    return position / world.calls_per_s


def _draw_host(world: World, rate: float, floor: float, random: Random) -> SimHost:
    own = rate * random.uniform(0.97, 1.03)
    if random.random() < world.slow:
        own /= 4
    known = own if random.random() < world.known else 0
    jitter = 0.5 if random.random() < world.jumpy else world.jitter
    host = SimHost(rate=own, known_rate=known, jitter=jitter)
    when = random.uniform(0.05, 0.95) * floor
    if random.random() < world.dying:
        return replace(host, dies_at=when) if random.random() < 0.5 else replace(host, powers_off_at=when)
    if own > rate / 2 and random.random() < world.straggling:
        return replace(host, slows_at=when)
    return host
