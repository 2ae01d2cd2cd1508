"""Simulated computes that take their time, send progress once a second, and can be steered.

python -m bench.jobs.hosts URL COUNT

One process plays all hosts. It answers lines on its standard input:

    pace SECONDS    each image of the requests that come from now on takes so long; answers {}
    running         answers how many hosts have a request that they have not answered
    obeyed          answers the times at which hosts have obeyed since the last such line, by kind of message

The number of bytes in a report of progress is the time at which it was sent, in milliseconds since `EPOCH_S`. So a
reader knows how old it is.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import queue
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg

from bench.dispatch.hosts import host_names, listen
from precache.adapters.bus_oslo import open_bus
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.messages import progress_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC
from precache.core.images import ImageId
from precache.core.jobs import Phase, TaskProgress

EPOCH_S = 1_780_000_000
REPORT_INTERVAL_S = 1.0
SIGN_OF_LIFE_INTERVAL_S = 15.0
SENDING_THREADS = 4  # an answer and a report wait for the broker's confirmation, so several are sent in parallel

STOPS = {"cancel_job": "cancelled", "pause_job": "paused"}


def age_s(bytes_done: int) -> float:
    """Return how long ago the report with this number of bytes was sent."""
    return time.time() - EPOCH_S - bytes_done / 1000


def _bytes_now() -> int:
    return int((time.time() - EPOCH_S) * 1000)


@dataclass
class _Call:
    """A call of one host, which ends by itself after the time of all its images, unless it is stopped before."""

    incoming: Any
    job: str
    host: str
    images: list[str]
    pace_s: float
    began: float = field(default_factory=time.monotonic)
    is_answered: bool = False

    @property
    def images_done(self) -> int:
        return min(len(self.images), int((time.monotonic() - self.began) / self.pace_s))


class Hosts:
    """Plays the hosts. One thread receives, one keeps the times, some send."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._pace_s = 0.2
        self._calls: dict[str, _Call] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._obeyed: defaultdict[str, list[float]] = defaultdict(list)
        self._sending: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        for work in (self._keep_times, *([self._send] * SENDING_THREADS)):
            threading.Thread(target=work, daemon=True).start()

    def receive(self, incoming: Any) -> None:
        method, message = incoming.message["method"], incoming.message["args"]
        if method == "cache_images":
            self._begin(incoming, message)
            return
        with self._lock:
            self._obeyed[method].append(time.time())
            call = self._calls.get(message["host"]) if method in STOPS else None
        self._sending.put(lambda: incoming.reply({}))
        if call is not None and call.job == message["job_id"]:
            self._answer(call, STOPS[method])

    def answer_line(self, line: str) -> dict[str, Any]:
        word, _, value = line.partition(" ")
        with self._lock:
            if word == "pace":
                self._pace_s = float(value)
                return {}
            if word == "running":
                return {"hosts": len(self._calls)}
            obeyed, self._obeyed = dict(self._obeyed), defaultdict(list)
            return obeyed

    def _begin(self, incoming: Any, message: dict[str, Any]) -> None:
        with self._lock:
            call = _Call(incoming, message["job_id"], message["host"], message["images"], self._pace_s)
            self._calls[call.host] = call
        self._at(call.began + call.pace_s * len(call.images), lambda: self._answer(call, "cached"))
        self._at(call.began + REPORT_INTERVAL_S, lambda: self._report(call))
        self._at(call.began + SIGN_OF_LIFE_INTERVAL_S, lambda: self._show_life(call))

    def _answer(self, call: _Call, rest: str) -> None:
        """Answer the call once; images that are not done have the outcome `rest`."""
        with self._lock:
            if call.is_answered:
                return
            call.is_answered = True
            if self._calls.get(call.host) is call:
                del self._calls[call.host]
        done = len(call.images) if rest == "cached" else call.images_done
        results = [
            {"image": image, "outcome": "cached" if place < done else rest, "bytes_moved": 1, "bytes_kept": 1}
            for place, image in enumerate(call.images)
        ]
        self._sending.put(lambda: call.incoming.reply({"results": results}))

    def _report(self, call: _Call) -> None:
        done = call.images_done
        if call.is_answered or done == len(call.images):
            return
        image = ImageId(call.images[done])
        progress = TaskProgress(call.job, call.host, image, Phase.DOWNLOADING, _bytes_now(), 1 << 40)
        self._sending.put(lambda: self._bus.cast(CONDUCTOR_TOPIC, "progress", progress_message([progress])))
        self._at(time.monotonic() + REPORT_INTERVAL_S, lambda: self._report(call))

    def _show_life(self, call: _Call) -> None:
        if not call.is_answered:
            self._sending.put(call.incoming.heartbeat)
            self._at(time.monotonic() + SIGN_OF_LIFE_INTERVAL_S, lambda: self._show_life(call))

    def _at(self, due: float, act: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (due, next(self._order), act))
            self._changed.notify()

    def _keep_times(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                act = heapq.heappop(self._due)[2]
            act()

    def _send(self) -> None:
        while True:
            self._sending.get()()


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    conf = cfg.ConfigOpts()
    conf([])
    bus = open_bus(conf, url)
    listener = listen(bus, host_names(count))
    hosts = Hosts(bus)
    threading.Thread(target=_answer_lines, args=(hosts,), daemon=True).start()
    print("ready", flush=True)
    while True:
        for incoming in listener.poll(timeout=1) or ():
            hosts.receive(incoming)


def _answer_lines(hosts: Hosts) -> None:
    for line in sys.stdin:
        print(json.dumps(hosts.answer_line(line.strip())), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
