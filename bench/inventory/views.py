"""Reads the four views of the inventory through the API while hosts go on reporting."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests

from bench.inventory.hosts import SEED, SimulatedHosts, send
from precache.adapters.bus_oslo.bus import Bus

PERIOD_S = 600
"""In which each host sends everything once, by default."""

FIRST_READS = 5
"""Of each view, which are not counted: they open connections."""


def read_views(url: str, hosts: SimulatedHosts, reads: int) -> dict[str, list[float]]:
    """Return the seconds that each read took, by view; the views take turns."""
    chance, images, session = random.Random(SEED), hosts.images, requests.Session()
    views: dict[str, Callable[[], str]] = {
        "images of a host": lambda: f"/v1/hosts/{chance.choice(hosts.names)}/images",
        # The first images are on most hosts.
        "hosts of an image": lambda: f"/v1/images/{images[min(chance.randrange(20), len(images) - 1)]}/hosts",
        "images": lambda: "/v1/images",
        "host": lambda: f"/v1/hosts/{chance.choice(hosts.names)}",
    }
    times: dict[str, list[float]] = {name: [] for name in views}
    for _ in range(reads + FIRST_READS):
        for name, path in views.items():
            began = time.perf_counter()
            answer = session.get(url + path(), timeout=60)
            times[name].append(time.perf_counter() - began)
            assert answer.ok, answer.text
    return {name: found[FIRST_READS:] for name, found in times.items()}


@contextmanager
def hosts_reporting(bus: Bus, hosts: SimulatedHosts) -> Iterator[None]:
    """Have the hosts send everything, one after another, at the pace of the default interval."""
    pause_s = PERIOD_S / len(hosts.names)
    stopped = threading.Event()

    def report() -> None:
        due = time.monotonic()
        for message in hosts.full_reports():
            due += pause_s
            if stopped.wait(max(0.0, due - time.monotonic())):
                return
            send(bus, message)

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
