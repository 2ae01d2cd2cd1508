"""Measures how fast conductors answer the reports of hosts in relays, and how many statements that takes.

    make bench-relays [RELAYS=300] [MEMBERS=33] [SECONDS=10] [DATABASES=MariaDB,PostgreSQL]

The planner is called directly, without a bus. The servers flush each commit to the disk. The last line printed is JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from precache.core.images import parse_image_id
from precache.core.relays import Assignment, RelayReport, ReportKind
from tests.contract.stores import Stores, of_url
from tests.lab.database_server import DatabaseServer, running
from tests.lab.mariadb import Mariadb
from tests.lab.postgresql import Postgresql
from tests.relay_site import RelaySite

THREADS = 8
"""Of one cell in a conductor."""


class FlushingMariadb(Mariadb):
    def command(self) -> list[str]:
        return [*super().command(), "--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync"]


class FlushingPostgresql(Postgresql):
    def command(self) -> list[str]:
        return [*(word for word in super().command() if "fsync" not in word), "--fsync=on"]


SERVERS: dict[str, type[DatabaseServer]] = {"MariaDB": FlushingMariadb, "PostgreSQL": FlushingPostgresql}


def main() -> None:
    relays, members = int(os.environ.get("RELAYS", 300)), int(os.environ.get("MEMBERS", 33))
    seconds = float(os.environ.get("SECONDS", 10))
    found = {}
    for name in os.environ.get("DATABASES", ",".join(SERVERS)).split(","):
        with running(SERVERS[name]) as server:
            stores = of_url(server.empty_url())
            found[name] = measure(stores, relays, members, seconds)
            stores.close()
    print(json.dumps({"relays": relays, "members": members, **found}))


def measure(stores: Stores, relay_count: int, member_count: int, seconds: float) -> dict[str, Any]:
    images = [parse_image_id(str(uuid.UUID(int=number + 1))) for number in range(relay_count)]
    site = RelaySite(stores, hosts=member_count, conductors=1, images=images, per_s=10**9)
    planner = site.conductors[0]
    began = time.perf_counter()
    places = {image: [planner.join(site.request(number, image)) for number in range(member_count)] for image in images}
    joined_s = time.perf_counter() - began
    all_places = [place for each in places.values() for place in each]

    versions = {(place.relay, place.host): place.version for place in all_places}

    def report(place: Assignment, kind: ReportKind = ReportKind.PROGRESS, **fields: Any) -> float:
        key = place.relay, place.host
        sent = RelayReport(relay=key[0], host=key[1], kind=kind, version=versions[key], cell="cell1", **fields)
        started = time.perf_counter()
        versions[key] = planner.report(sent).version
        return time.perf_counter() - started

    result: dict[str, Any] = {"join_ms": round(1000 * joined_s / len(all_places), 2)}
    for kind in (ReportKind.PROGRESS, ReportKind.SLOW, ReportKind.LOST_PARENT):
        sample = all_places[5 :: max(1, len(all_places) // 300)]
        with counted(stores) as statements:
            times = [report(place, kind, have_bytes=5) for place in sample]
        result[kind.value] = {"statements": round(len(statements) / len(sample), 1), **spread(times)}
    at_once(places[images[1]], report)  # which opens the connections
    result["at_once"] = at_once(places[images[0]], report)
    result["sustained"] = sustained(all_places, report, seconds)
    return result


def at_once(places: list[Assignment], report: Callable[..., float]) -> dict[str, float]:
    """Have all members of one relay report at once; return how long they wait for their answers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        ends = list(threads.map(lambda place: report(place) and time.perf_counter() - began, places))
    return spread(ends)


def sustained(places: list[Assignment], report: Callable[..., float], seconds: float) -> dict[str, float]:
    """Report from all threads for so long; return how many reports are answered in a second."""
    until, lock, times = time.perf_counter() + seconds, threading.Lock(), list[float]()
    cpu_s = time.process_time()

    def run(first: int) -> None:
        own = []
        for place in itertools.cycle(places[first::THREADS]):
            if time.perf_counter() > until:
                break
            own.append(report(place, have_bytes=7))
        with lock:
            times.extend(own)

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(run, range(THREADS)))
    wall_s = time.perf_counter() - began
    cpu_ms = 1000 * (time.process_time() - cpu_s) / len(times)
    return {"per_s": round(len(times) / wall_s), "cpu_ms": round(cpu_ms, 2), **spread(times)}


def spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * each for each in times)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
        "most_ms": round(ordered[-1], 1),
    }


@contextmanager
def counted(stores: Stores) -> Iterator[list[str]]:
    """Count the statements of the service, without those that begin or end a transaction."""
    assert stores.database is not None
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    event.listen(stores.database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(stores.database.engine, "before_cursor_execute", note)


if __name__ == "__main__":
    main()
