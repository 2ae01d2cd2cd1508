"""Measures how fast the reports of many hosts on their caches are stored, and how fast the inventory is read.

    make bench-inventory [HOSTS=10000] [ENTRIES=50] [READS=200] [DATABASES=MariaDB,PostgreSQL]

`bench/README.md` has the method. A full run writes its results to `results/`, a smaller one to `var/bench/results/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy import func, select

from bench.dispatch.__main__ import machine
from bench.dispatch.cloud import Cloud, cloud
from bench.inventory.hosts import SimulatedHosts, send
from bench.inventory.listing import ENTRIES, list_cache
from bench.inventory.report import figures, markdown
from bench.inventory.servers import SERVERS, counted
from bench.inventory.views import hosts_reporting, read_views
from bench.result_files import write_results
from precache.adapters.bus_oslo import open_bus
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.topics import RPC_VERSION
from precache.adapters.sql.tables import host_caches

FULL = (10_000, 50, 200)
LISTINGS = 20
LOOK_INTERVAL_S = 0.5
STATEMENTS_OF_A_LOOK = 2
"""Beside the query itself on PostgreSQL, which is not counted there, the beginning and the end of its transaction; on
MariaDB, which has no statement for the beginning, the query and the end."""
TIMEOUT_S = 900


def measure(folder: Path, database: str, count: int, entries: int, reads: int) -> dict[str, Any]:
    """Return the measurements with one database server."""
    with cloud(folder, 1, database_server=SERVERS[database]) as deployed:
        conf = cfg.ConfigOpts()
        conf([])
        bus = open_bus(conf, deployed.bus_url)
        deployed.register(count, RPC_VERSION)
        hosts = SimulatedHosts(count, entries)
        rounds: dict[str, Any] = {}
        for kind, messages in (
            ("new", hosts.full_reports),
            ("same", hosts.full_reports),
            ("changes", hosts.reports_of_changes),
        ):
            rounds[kind] = store(deployed, bus, hosts, list(messages()))
            print(f"{database}, {kind}: {rounds[kind]}", flush=True)
        with hosts_reporting(bus, hosts):
            views = read_views(deployed.precache.url, hosts, reads)
        bus.close()
        return {"rounds": rounds, "views_s": views, "peak_bytes": deployed.peak_bytes("conductor")}


def store(deployed: Cloud, bus: Bus, hosts: SimulatedHosts, messages: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Send the messages; return how long the conductor takes until all are stored, and the statements.

    The conductor is halted while they are sent, so that only its own work is measured.
    """
    with deployed.conductor_halted():
        for message in messages:
            send(bus, message)
    with counted(deployed) as statements:
        began, used_s = time.perf_counter(), deployed.processor_s("conductor")
        looks = await_stored(deployed, hosts)
        seconds, used_s = time.perf_counter() - began, deployed.processor_s("conductor") - used_s
    counted_statements = statements.count - looks * STATEMENTS_OF_A_LOOK
    return {"seconds": seconds, "processor_s": used_s, "statements": counted_statements}


def await_stored(deployed: Cloud, hosts: SimulatedHosts) -> int:
    """Wait until the last reports of all hosts are stored; return how often the database was asked."""
    looks = 1
    stored = select(func.count()).select_from(host_caches).where(host_caches.c.sequence >= hosts.sequence)
    deadline = time.monotonic() + TIMEOUT_S
    with deployed.database.engine.connect() as watcher:
        while (found := watcher.execute(stored).scalar_one()) < len(hosts.names):
            watcher.rollback()  # so that the next query sees new rows
            assert time.monotonic() < deadline, f"the conductor has stored only {found} reports"
            time.sleep(LOOK_INTERVAL_S)
            looks += 1
    return looks


def main() -> None:
    given = tuple(
        int(os.environ.get(name) or usual) for name, usual in zip(("HOSTS", "ENTRIES", "READS"), FULL, strict=True)
    )
    databases = [name for name in os.environ.get("DATABASES", "").split(",") if name] or list(SERVERS)
    count, entries, reads = given
    measured: dict[str, Any] = {}
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="bench-inventory-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            folder.chmod(0o755)  # the broker's user must be able to enter the folder
            described = machine(folder)
            measured[database] = measure(folder, database, count, entries, reads)
    results: dict[str, Any] = {
        "machine": described,
        "settings": {"hosts": count, "entries": entries, "reads": reads, "listed": ENTRIES},
        "measured": measured,
        "listing_s": list_cache(LISTINGS),
    }
    is_full = given == FULL and len(databases) == len(SERVERS)
    write_results("inventory", results, markdown(results), is_full=is_full)
    print(json.dumps(figures(results)), flush=True)


if __name__ == "__main__":
    main()
