"""Readers of a job while it runs: their times, and the age of what they see."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from bench.jobs.hosts import age_s

PAGE = 1000
PAUSE_S = 0.05


@dataclass
class Reads:
    """seconds: of each answer, by what was read. ages_s: of the oldest progress in each page of running tasks."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"job": [], "tasks": []})
    ages_s: list[float] = field(default_factory=list)


class Reader(threading.Thread):
    """Reads the job, a page of its tasks and its running tasks in turn, with short pauses, until `stop`."""

    def __init__(self, url: str, job: str) -> None:
        super().__init__(daemon=True)
        self.reads = Reads()
        self._url = f"{url}/v1/jobs/{job}"
        self._ends = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            while not self._ends.wait(PAUSE_S):
                self._read(session, "job", "")
                self._read(session, "tasks", f"/tasks?limit={PAGE}")
                running = self._read(session, "", f"/tasks?state=running&limit={PAGE}")
                ages = [age_s(task["bytes_done"]) for task in running["tasks"] if task["phase"] == "downloading"]
                if ages:
                    self.reads.ages_s.append(max(ages))

    def stop(self) -> Reads:
        self._ends.set()
        self.join(30)
        return self.reads

    def _read(self, session: requests.Session, name: str, path: str) -> Any:
        began = time.perf_counter()
        answer = session.get(self._url + path, timeout=30)
        if name:
            self.reads.seconds[name].append(time.perf_counter() - began)
        answer.raise_for_status()
        return answer.json()


def count_events(url: str, job: str, readers: int, seconds: float) -> int:
    """Return how many server-sent events of the job this number of readers receives in this time, all together."""
    place = urlsplit(url)
    request = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n\r\n"
    events = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(readers):
            connection = socket.create_connection((place.hostname, place.port), timeout=10)
            connection.sendall(request.encode())
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                part = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
                assert part, "a reader of events was cut off"
                events += part.count(b"event:")
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return events
