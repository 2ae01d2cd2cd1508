"""Measures jobs of many hosts and ten images while an operator steers and reads them.

    make bench-jobs [HOSTS=1000,10000] [ROUNDS=2] [CONCURRENCY=200]

`bench/README.md` has the method. A full run writes its results to `results/`, a smaller one to `var/bench/results/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.dispatch.__main__ import machine
from bench.dispatch.cloud import Cloud, cloud
from bench.jobs.readers import Reader, count_events
from bench.jobs.report import figures, markdown
from bench.result_files import write_results
from bench.worker import Worker
from precache.adapters.bus_oslo.topics import RPC_VERSION

IMAGES = 10
FULL_HOSTS = (1000, 10_000)
FULL_ROUNDS = 2
CONCURRENCY = 200
WARM_UP_HOSTS = 100

RUN_PACE_S = 0.2
"""Seconds for each image in a job that runs to its end: two for each host."""

STEER_PACE_S = 60
"""Seconds for each image while a job is steered: longer than that takes."""

READ_S = 10
EVENT_READERS = 50
OBEY_TIMEOUT_S = 60


class Bench:
    """The deployment with its simulated hosts."""

    def __init__(self, deployed: Cloud, hosts: Worker, concurrency: int) -> None:
        self._cloud = deployed
        self._hosts = hosts
        self._concurrency = concurrency

    def run_through(self, aggregate: str, count: int) -> dict[str, float]:
        """Return time and statements of a job that nobody disturbs."""
        self._hosts.ask(f"pace {RUN_PACE_S}")
        with self._cloud.statements() as statements:
            began = time.perf_counter()
            job = self._create(aggregate)
            ended = self._cloud.await_end(job)
            seconds = time.perf_counter() - began
        assert ended.state == "succeeded", ended
        assert ended.task_count == count * IMAGES
        return {"seconds": seconds, "statements": statements.count}

    def steer(self, aggregate: str, count: int) -> dict[str, Any]:
        """Return how soon the hosts of a running job obey, and how fast it can be read meanwhile."""
        self._hosts.ask(f"pace {STEER_PACE_S}")
        job = self._create(aggregate)
        running = min(count, self._concurrency)
        self._await_running(running)
        self._hosts.ask("obeyed")
        reader = Reader(self._cloud.precache.url, job)
        reader.start()
        time.sleep(READ_S)
        events = count_events(self._cloud.precache.url, job, EVENT_READERS, READ_S)
        obeyed = {
            "patch": self._obey("PATCH", job, "", {"rate_limit_bytes_per_s": 10_000_000}, "limit_job", running),
            "pause": self._obey("POST", job, "/pause", None, "pause_job", running),
        }
        self._await_state(job, "paused")
        self._call("POST", job, "/resume", None)
        self._await_running(running)
        self._hosts.ask("obeyed")
        obeyed["cancel"] = self._obey("POST", job, "/cancel", None, "cancel_job", running)
        self._await_state(job, "cancelled")
        reads = reader.stop()
        return {"obeyed_s": obeyed, "read_s": reads.seconds, "ages_s": reads.ages_s, "events_per_s": events / READ_S}

    def _create(self, aggregate: str) -> str:
        images = [{"image": image} for image in self._cloud.images]
        answer = self._cloud.precache.call(
            "POST", "/v1/jobs", {"images": images, "target": {"aggregates": [aggregate]}}
        )
        assert answer.status_code == 202, answer.text
        job: str = answer.json()["job"]["id"]
        return job

    def _obey(self, method: str, job: str, path: str, body: object, message: str, count: int) -> list[float]:
        """Send the request; return after how many seconds each of the `count` running hosts has received `message`."""
        began = time.time()
        self._call(method, job, path, body)
        times: list[float] = []
        until = time.monotonic() + OBEY_TIMEOUT_S
        while len(times) < count:
            assert time.monotonic() < until, f"only {len(times)} of {count} hosts have received {message}"
            time.sleep(0.1)
            times += self._hosts.ask("obeyed").get(message, [])
        return [at - began for at in times]

    def _call(self, method: str, job: str, path: str, body: object) -> None:
        answer = self._cloud.precache.call(method, f"/v1/jobs/{job}{path}", body)
        assert answer.ok, answer.text

    def _await_running(self, count: int) -> None:
        _await(lambda: self._hosts.ask("running")["hosts"] >= count, f"{count} running hosts")

    def _await_state(self, job: str, state: str) -> None:
        _await(lambda: self._cloud.precache.get(f"/v1/jobs/{job}")["job"]["state"] == state, f"a job that is {state}")


def _await(is_reached: Any, what: str) -> None:
    until = time.monotonic() + OBEY_TIMEOUT_S
    while not is_reached():
        assert time.monotonic() < until, f"{what}: not in {OBEY_TIMEOUT_S} s"
        time.sleep(0.2)


def main() -> None:
    sizes = tuple(int(count) for count in os.environ.get("HOSTS", "").split(",") if count) or FULL_HOSTS
    rounds = int(os.environ.get("ROUNDS", FULL_ROUNDS))
    concurrency = int(os.environ.get("CONCURRENCY", CONCURRENCY))
    with tempfile.TemporaryDirectory(prefix="bench-jobs-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the broker's user must be able to enter the folder
        with cloud(folder, concurrency, IMAGES) as deployed:
            most = max(*sizes, WARM_UP_HOSTS)
            print(f"making {most} hosts", flush=True)
            deployed.register(most, RPC_VERSION)
            for count in {WARM_UP_HOSTS, *sizes}:
                deployed.aggregate(count)
            with Worker("bench.jobs.hosts", deployed.bus_url, most) as hosts:
                measured = _measure(Bench(deployed, hosts, concurrency), sizes, rounds)
            results: dict[str, Any] = {
                "machine": machine(folder),
                "settings": {"rounds": rounds, "concurrency": concurrency, "images": IMAGES, "database": "MariaDB"},
                "measured": measured,
                "peak_bytes": {part: deployed.peak_bytes(part) for part in ("conductor", "api")},
            }
    is_full = sizes == FULL_HOSTS and rounds >= FULL_ROUNDS
    write_results("jobs", results, markdown(results), is_full=is_full)
    print(json.dumps(figures(results)), flush=True)


def _measure(bench: Bench, sizes: tuple[int, ...], rounds: int) -> dict[str, Any]:
    bench.run_through(f"of-{WARM_UP_HOSTS}", WARM_UP_HOSTS)
    measured: dict[str, Any] = {str(count): {"through": [], "steered": []} for count in sizes}
    for number in range(rounds):
        for count in sizes:
            through = bench.run_through(f"of-{count}", count)
            steered = bench.steer(f"of-{count}", count)
            measured[str(count)]["through"].append(through)
            measured[str(count)]["steered"].append(steered)
            slowest = {kind: round(max(times), 2) for kind, times in steered["obeyed_s"].items()}
            print(
                f"round {number + 1}, {count} hosts: {through['seconds']:.1f} s, {through['statements']} statements; "
                f"the last host obeyed after (s) {slowest}; oldest progress {max(steered['ages_s']):.1f} s",
                flush=True,
            )
    return measured


if __name__ == "__main__":
    main()
