"""What is simulated: many sites at the same time, and single questions to small ones."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import mean
from typing import Any

from bench.swarm_sim.flow import Link
from bench.swarm_sim.site import CAUSES, Habits, Simulation, SiteResult
from bench.swarm_sim.sites import MBIT, MIB, SimHost, SimSite, World, draw_site, site_sizes
from precache.core.images import ImageId
from precache.core.relays import Form, Relay, RelayKey, RelayMember
from precache.rules.relay_assignment import report_interval_s
from precache.rules.relay_plan import joined

CALLS_PER_S = 1000
"""Hosts that one conductor calls in a second: `bench/results/dispatch.md`."""

CALM = World(slow=0, jumpy=0, jitter=0.02, straggling=0, dying=0, seeders_dying=0, late=0)

CERN_BYTES, CERN_HOSTS, CERN_RATE = 1_700_000_000, 1300, 1000 * MBIT

HEADERS = 1.045
"""Headers of the network alone cost that much; shaped links are measured with them."""


def simulate(hosts: int, world: World, *, seed: int, processes: int, habits: Habits | None = None) -> dict[str, Any]:
    """Return the figures of so many hosts in sites of 8 to 500, all of which get their images at the same time."""
    random = Random(seed)
    sites = [draw_site(f"s{number}", count, world, random) for number, count in enumerate(site_sizes(hosts, random))]
    interval = report_interval_s(hosts)
    began = time.perf_counter()
    work = [(site, habits or Habits(), interval, number) for number, site in enumerate(sites)]
    with ProcessPoolExecutor(processes) as pool:
        # Large sites first, so that the processes end at about the same time.
        work.sort(key=lambda each: -len(each[0].hosts))
        results = dict(zip((each[0].name for each in work), pool.map(_run, work, chunksize=4), strict=True))
    ordered = [results[site.name] for site in sites]
    return _figures(ordered) | {"interval_s": interval, "wall_s": time.perf_counter() - began}


def cern() -> dict[str, Any]:
    """Return the figures of CERN's case: 1.7 GB to 1,300 hosts of one site at 1 Gbit/s, called by one conductor."""
    world = replace(CALM, sizes=(CERN_BYTES,), rates=(CERN_RATE,), calls_per_s=CALLS_PER_S)
    site = draw_site("cern", CERN_HOSTS, world, Random(1))
    result = Simulation(site, Habits(), interval_s=report_interval_s(CERN_HOSTS), seed=1).run()
    return _figures([result]) | {"seconds": max(result.took), "floor_s": CERN_BYTES / CERN_RATE}


def false_alarms(hosts: int = 32, sites: int = 6) -> list[dict[str, float]]:
    """Return what the rule for stragglers costs where all links jitter by half of their rates."""
    found = []
    for epoch in (0.25, 0.5, 1.0, 2.0):
        world = replace(CALM, jitter=0.5, sizes=(2048 * MIB,), rates=(500 * MBIT,))
        drawn = [draw_site("s", hosts, world, Random(number)) for number in range(sites)]
        judged, free = (
            [
                Simulation(site, Habits(epoch=epoch, judges=judges), interval_s=2.0, seed=number).run()
                for number, site in enumerate(drawn)
            ]
            for judges in (True, False)
        )
        with_rule, without = (mean(x for result in results for x in result.x) for results in (judged, free))
        found.append(
            {
                "epoch_s": epoch,
                "x_with": with_rule,
                "x_without": without,
                "cost_percent": 100 * (with_rule / without - 1),
                "named": sum(result.wrongly_named for result in judged) / sites,
            }
        )
    return found


def chain(hosts: int, size_bytes: int, rate: float) -> float:
    """Return x of a calm chain of hosts behind one that fetches at the rate of the links, headers included."""
    same = tuple(SimHost(rate=rate) for _ in range(hosts))
    site = SimSite(name="chain", size_bytes=size_bytes, rate=rate, hosts=same)
    habits = Habits(message=0.005, connect=0.02, link=Link(), step=0.02)
    result = Simulation(site, habits, interval_s=2.0, seed=1).run()
    return max(result.took) * rate / size_bytes + HEADERS - 1


def member_bytes(count: int = 500) -> float:
    """Return what the relay of a site takes in memory, for each member."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    image = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")
    tracemalloc.start()
    relay = Relay(id="r", key=RelayKey("c", "s", image, Form.RAW))
    for number in range(count):
        name = f"host-{number:04}"
        member = RelayMember(host=name, address=f"192.0.2.{number}:8785", key=f"{number:064x}")
        relay = joined(relay, member, now + timedelta(milliseconds=number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / count


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that is not below this percentage of the values; 0 if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0


def _run(work: tuple[SimSite, Habits, float, int]) -> SiteResult:
    site, habits, interval, seed = work
    return Simulation(site, habits, interval_s=interval, seed=seed).run()


def _figures(results: Sequence[SiteResult]) -> dict[str, Any]:
    x = sorted(value for result in results for value in result.x)
    kinds: Counter[str] = Counter()
    late: Counter[str] = Counter()
    seconds: Counter[int] = Counter()
    busy: Counter[int] = Counter()
    called = 0
    for result in results:
        kinds += result.kinds
        late += result.late
        # The conductors call the hosts of one site after those of another.
        later = called // CALLS_PER_S
        called += result.hosts
        seconds.update({second + later: count for second, count in result.seconds.items()})
        busy.update({second + later: count for second, count in result.busy_seconds.items()})
    casts = kinds.pop("cast", 0)
    messages = kinds.total()
    named = [after for result in results for after in result.named_after]
    return {
        "hosts": called,
        "sites": len(results),
        "p50": percentile(x, 50),
        "p99": percentile(x, 99),
        "p999": percentile(x, 99.9),
        "most": x[-1],
        "late_percent": {cause: 100 * late[cause] / len(x) for cause in CAUSES},
        "shares": [percentile(x, step / 10) for step in range(10, 1001, 5)],
        "unfinished": sum(result.unfinished for result in results),
        "copies": mean(result.copies for result in results),
        "messages": dict(kinds),
        "casts": casts,
        "peak_per_s": max(seconds.values()),
        "busy_per_s": percentile(_each_second(busy), 99),
        "busy_mean_per_s": mean(_each_second(busy) or [0]),
        "cpu_us": 1e6 * sum(result.cpu_s for result in results) / messages,
        "worst_cpu_ms": 1e3 * max(result.worst_cpu_s for result in results),
        "named_p50_s": percentile(named, 50),
        "named_p90_s": percentile(named, 90),
        "named": len(named),
        "wrongly_named": sum(result.wrongly_named for result in results),
    }


def _each_second(counts: Counter[int]) -> list[int]:
    """Return the counts of the seconds in which nine tenths of all messages came: then only stragglers are left."""
    ordered = sorted(counts.items())
    total, found = sum(counts.values()), []
    for _, count in ordered:
        found.append(count)
        if sum(found) >= 0.9 * total:
            break
    return found
