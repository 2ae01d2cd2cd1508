"""Simulates the plans of relays at the size of data centres, with the rules that conductors apply.

    make bench-swarm-sim [HOSTS=1000,10000,100000] [PROCESSES=2]

`bench/README.md` has the method. A full run writes its results to `results/`, a smaller one to `var/bench/results/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import replace
from typing import Any

from bench.machine import describe_machine
from bench.result_files import RESULTS, ROOT, write_results
from bench.swarm_sim.report import figures, markdown
from bench.swarm_sim.runs import CALM, cern, chain, false_alarms, member_bytes, simulate
from bench.swarm_sim.sites import MIB, World

FULL_HOSTS = (1000, 10_000, 100_000)

LAB = {
    "16 hosts at 30 Mbit/s, 48 MiB": (16, 48 * MIB, 30, 1.12),
    "32 hosts at 20 Mbit/s, 48 MiB": (32, 48 * MIB, 20, 1.21),
}
"""Chains that were measured before the design was chosen: hosts, bytes, Mbit/s, x; bursts smaller than a piece."""


def main() -> None:
    hosts = tuple(int(count) for count in os.environ.get("HOSTS", "").split(",") if count) or FULL_HOSTS
    processes = int(os.environ.get("PROCESSES") or os.cpu_count() or 1)
    began = time.perf_counter()
    measured: dict[str, Any] = {}
    for count in hosts:
        _note(began, f"{count:,} hosts")
        measured[f"{count:,} hosts"] = simulate(count, World(), seed=count, processes=processes)
    few = min(hosts[-1], 10_000)
    for name, world in {
        "calm": CALM,
        "no rate known": replace(World(), known=0.0),
        "more failures": replace(World(), straggling=0.005, dying=0.005),
    }.items():
        _note(began, f"{few:,} hosts, {name}")
        measured[f"{few:,} hosts, {name}"] = simulate(few, world, seed=few, processes=processes)
    _note(began, "CERN's case, false alarms, chains that were measured")
    results = {
        "machine": {name: value for name, value in describe_machine(ROOT).items() if name in ("processor", "python")},
        "measured": measured,
        "largest": f"{hosts[-1]:,} hosts",
        "cern": cern(),
        "false_alarms": false_alarms(),
        "chains": _chains(),
        "member_bytes": member_bytes(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "seconds": time.perf_counter() - began,
    }
    table = markdown(results)
    write_results("swarm_sim", results, table, is_full=hosts == FULL_HOSTS)
    print(table)
    print(json.dumps(figures(results)))


def _chains() -> dict[str, tuple[float, float]]:
    """Return x as measured and as simulated, of chains in network namespaces."""
    found = {name: (x, chain(count, size, mbit * 125_000)) for name, (count, size, mbit, x) in LAB.items()}
    path = RESULTS / "swarm.json"
    if not path.exists():
        return found
    results = json.loads(path.read_text())
    for name, size in results["settings"]["sizes"].items():
        measured = results["measured"].get(name, {}).get("swarm")
        if measured and name.isdigit():
            bytes_, rate = size["image_mib"] * MIB, size["mbit_per_s"] * 125_000
            label = f"{name} hosts at {size['mbit_per_s']} Mbit/s, {size['image_mib']} MiB"
            found[f"{label}, `bench/swarm`"] = measured["x"], chain(int(name), bytes_, rate)
    return found


def _note(began: float, what: str) -> None:
    print(f"{time.perf_counter() - began:5.0f} s  {what}", flush=True)


if __name__ == "__main__":
    main()
