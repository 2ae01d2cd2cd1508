"""Measures how soon all hosts of a site have an image: each by itself, by libtorrent, and by Precache's swarm.

    make bench-swarm [QUICK=1] [HOSTS=8,16,32,64] [FOLDER=/dev/shm]

`bench/README.md` has the method. A full run writes its results to `results/`, a smaller one to `var/bench/results/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine import describe_machine
from bench.result_files import write_results
from bench.swarm.measured import Measured
from bench.swarm.report import figures, markdown
from bench.swarm.sites import FAST, FULL, QUICK, Size
from bench.swarm.stages import Bench
from bench.swarm.torrents import has_libtorrent
from tests.lab.swarm.site import Forks
from tests.namespaces import STRICT_BURST_BYTES, why_no_shaped_network


def main() -> None:
    why_not = why_no_shaped_network()
    if why_not is not None:
        sys.exit(f"not measured: {why_not}")
    is_quick = bool(os.environ.get("QUICK")) or "--quick" in sys.argv
    sizes = QUICK if is_quick else FULL
    wanted = [int(count) for count in os.environ.get("HOSTS", "").split(",") if count]
    sizes = {hosts: size for hosts, size in sizes.items() if hosts in (wanted or sizes)}
    measured: dict[str, dict[str, Any]] = {}
    folder = os.environ.get("FOLDER", "/dev/shm")
    with tempfile.TemporaryDirectory(prefix="swarm-", dir=folder, ignore_cleanup_errors=True) as name:
        forks = Forks()
        try:
            for hosts, size in sizes.items():
                measured[str(hosts)] = _measure(
                    Path(name) / str(hosts), forks, hosts, size, is_middle=hosts == _middle(sizes)
                )
            measured["fast links"] = _measure_processor(Path(name) / "fast", forks)
        finally:
            forks.close()
        machine = {key: value for key, value in describe_machine(Path(name)).items() if key != "nova"}
    results = {
        "machine": machine,
        "settings": {
            "burst_bytes": STRICT_BURST_BYTES,
            "sizes": {str(each): asdict(size) for each, size in sizes.items()} | {"fast links": asdict(FAST[1])},
        },
        "measured": measured,
    }
    write_results("swarm", results, markdown(results), is_full=sizes == FULL)
    print(json.dumps(figures(results)), flush=True)


def _middle(sizes: dict[int, Size]) -> int:
    """Return the number of hosts with which faults and other uplinks are measured."""
    return 16 if 16 in sizes else max(sizes)


def _measure(folder: Path, forks: Forks, hosts: int, size: Size, *, is_middle: bool) -> dict[str, Any]:
    folder.mkdir()
    found: dict[str, Any] = {}

    def note(name: str, one: Measured | None) -> None:
        if one is None:
            print(f"{hosts} hosts, {name}: given up", flush=True)
        else:
            found[name] = _noted(f"{hosts} hosts, {name}", one)

    with Bench(folder, forks, hosts, size) as bench:
        note("direct", bench.direct())
        if has_libtorrent():
            note("libtorrent mesh", bench.torrent(chain=False))
            note("libtorrent chain", bench.torrent(chain=True))
        note("swarm", bench.relayed())
        if is_middle:
            note("end to end", bench.end_to_end())
            note("end to end, uplink 1/4", bench.end_to_end(0.25))
            note("next version", bench.next_version())
            note("kill -9", bench.killed())
            note("straggler", bench.slowed())
    return found


def _measure_processor(folder: Path, forks: Forks) -> dict[str, Any]:
    folder.mkdir()
    hosts, size = FAST
    with Bench(folder, forks, hosts, size) as bench:
        return {"swarm": _noted("fast links", bench.relayed())}


def _noted(name: str, one: Measured) -> dict[str, Any]:
    print(
        f"{name}: {one.seconds:.1f} s, x {one.x:.2f}, processor {one.cpu_s:.1f} s, idle {one.idle:.0%}",
        flush=True,
    )
    return asdict(one) | {"x": one.x}


if __name__ == "__main__":
    main()
