"""Measures how many hosts one conductor can call over RabbitMQ, in alternation with a bare client of oslo.messaging.

    make bench-dispatch [ROUNDS=3] [HOSTS=100,1000,5000] [CONCURRENCY=50] [MAX_HOSTS=0]

`bench/README.md` has the method. A full run writes its results to `results/`, a smaller one to `var/bench/results/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.dispatch.cloud import Cloud, cloud
from bench.dispatch.report import figures, markdown
from bench.machine import describe_machine
from bench.result_files import write_results
from bench.worker import Worker
from tests.lab.mariadb import SERVER

FULL_HOSTS = (100, 1000, 5000)
FULL_ROUNDS = 3
CONCURRENCY = 50
WARM_UP_HOSTS = 100


def measure(deployed: Cloud, bare: Worker, sizes: tuple[int, ...], rounds: int) -> dict[str, list[Any]]:
    """Return for each number of hosts a list with one item per round."""
    aggregates = {count: deployed.aggregate(count) for count in {WARM_UP_HOSTS, *sizes}}
    deployed.run_job(aggregates[WARM_UP_HOSTS], WARM_UP_HOSTS)
    bare.ask(WARM_UP_HOSTS)
    measured: dict[str, list[Any]] = {str(count): [] for count in sizes}
    for number in range(rounds):
        for count in sizes:
            if number % 2:
                bare_s = bare.ask(count)["seconds"]
                job = deployed.run_job(aggregates[count], count)
            else:
                job = deployed.run_job(aggregates[count], count)
                bare_s = bare.ask(count)["seconds"]
            measured[str(count)].append(asdict(job) | {"bare_seconds": bare_s})
            print(
                f"round {number + 1}, {count} hosts: {count / job.seconds:.0f} hosts/s, bare {count / bare_s:.0f} "
                f"calls/s, {job.statements} statements",
                flush=True,
            )
    deployed.look()
    return measured


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-dispatch-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the broker's user must be able to enter the folder
        yield folder


def main() -> None:
    sizes = tuple(int(count) for count in os.environ.get("HOSTS", "").split(",") if count) or FULL_HOSTS
    rounds = int(os.environ.get("ROUNDS", FULL_ROUNDS))
    concurrency = int(os.environ.get("CONCURRENCY", CONCURRENCY))
    max_hosts = int(os.environ.get("MAX_HOSTS", "0"))
    with _folder() as folder, cloud(folder, concurrency, max_hosts=max_hosts) as deployed:
        print(f"making {max(sizes)} hosts", flush=True)
        deployed.register(max(*sizes, WARM_UP_HOSTS))
        with (
            Worker("bench.dispatch.hosts", deployed.bus_url, max(*sizes, WARM_UP_HOSTS)),
            Worker("bench.dispatch.bare", deployed.bus_url, concurrency) as bare,
        ):
            measured = measure(deployed, bare, sizes, rounds)
        beats_s = [deployed.hear_beats(max(sizes)) for _ in range(rounds)]
        results: dict[str, Any] = {
            "machine": machine(folder),
            "settings": {"rounds": rounds, "concurrency": concurrency, "max_hosts": max_hosts, "database": "MariaDB"},
            "measured": measured,
            "heartbeats": {"hosts": max(sizes), "seconds": beats_s},
            "peak_bytes": {part: deployed.peak_bytes(part) for part in ("conductor", "api")},
        }
    is_full = sizes == FULL_HOSTS and not max_hosts and rounds >= FULL_ROUNDS
    write_results("dispatch", results, markdown(results), is_full=is_full)
    print(json.dumps(figures(results)), flush=True)


def machine(folder: Path) -> dict[str, str]:
    """Return the machine and the versions that affect the figures."""
    described = describe_machine(folder)
    parts = {name: described[name] for name in ("processor", "memory", "kernel", "python")}
    server = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Ver (\S+)", server)
    parts["mariadb"] = found.group(1) if found else "unknown"
    return parts | {name: version(name) for name in ("oslo.messaging", "SQLAlchemy", "PyMySQL")}


if __name__ == "__main__":
    main()
