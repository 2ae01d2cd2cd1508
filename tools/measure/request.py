"""The measured request: one image on one host, with the embedded service in a process of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

RECORDER = Path(__file__).with_name("recorder.py")
TIMEOUT_S = 180
POLL_S = 0.02
ROUNDS = 3
SETTLE_S = 0.3
"""How long to record after the job's end: until the notification is sent and the next job is searched."""

IMAGE_BYTES = 1 << 20


class MeasurementFailed(Exception):
    """The service failed; the text has the end of its log."""


@dataclass(frozen=True)
class RequestCost:
    """functions: `file:name` of all entered functions. transactions: the functions that began them, in order."""

    functions: tuple[str, ...]
    transactions: tuple[str, ...]

    @property
    def files(self) -> set[str]:
        return {function.partition(":")[0] for function in self.functions}


def measure_request(source: Path, python: Path, *, rounds: int = ROUNDS) -> RequestCost:
    """Return the work of the service's process from the request to the end of the job.

    Periodic work in that time counts, too; so the result is the cheapest of a few rounds, each in a new process.

    source: the folder that contains the package `precache`. python: with its dependencies installed.
    Raises MeasurementFailed.
    """
    costs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            costs.append(_Measurement(Path(folder), source, python).run())
    return min(costs, key=lambda cost: (len(cost.transactions), len(cost.functions)))


class _Measurement:
    def __init__(self, work: Path, source: Path, python: Path) -> None:
        self._work, self._source, self._python = work, source, python
        self._state, self._log = work / "state", work / "log"
        self._url = ""

    def run(self) -> RequestCost:
        images = self._work / "images"
        images.mkdir()
        image = images / "image.raw"
        image.write_bytes(os.urandom(IMAGE_BYTES))
        os.utime(image, (0, 0))  # The image service does not offer a file that may still be growing.
        command = [
            self._python, RECORDER, self._source / "precache", "serve", "all", "--state-dir", self._state,
            "--images", images, "--hosts", "cell1:cmp-1", "--listen", "127.0.0.1:0",
        ]  # fmt: skip
        # No heartbeat falls into the measurement, unless that takes longer than this.
        settings = {"OS_DEFAULT__REPORT_INTERVAL": "600", "OS_DEFAULT__SERVICE_DOWN_TIME": "1800"}
        environment = os.environ | settings | {"PYTHONPATH": str(self._source)}
        with (
            self._log.open("w") as log,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=environment
            ) as service,
        ):
            try:
                return self._send_request(service)
            finally:
                service.kill()

    def _send_request(self, service: subprocess.Popen[str]) -> RequestCost:
        self._url = self._wait_for(self._answering_url)
        image = self._wait_for(self._offered_image)
        aggregate = self._post("", {"aggregate": {"name": "all"}})["aggregate"]["id"]
        self._post(f"/{aggregate}/action", {"add_host": {"host": "cmp-1"}})
        report = self._work / "report.json"
        assert service.stdin is not None
        print("start", file=service.stdin, flush=True)
        time.sleep(POLL_S)
        self._post(f"/{aggregate}/images", {"cache": [{"id": image}]})
        self._wait_for(self._has_finished)
        time.sleep(SETTLE_S)
        print(report, file=service.stdin, flush=True)
        recorded = self._wait_for(lambda: report.exists() and json.loads(report.read_text()))
        return RequestCost(tuple(recorded["functions"]), tuple(recorded["transactions"]))

    def _answering_url(self) -> str | None:
        said = [line for line in self._log.read_text().splitlines() if line.startswith("Precache answers at ")]
        return said[0].split()[3] if said else None

    def _offered_image(self) -> str | None:
        """Wait until the image can be fetched; return its id."""
        with urllib.request.urlopen(f"{self._url}/image/v2/images", timeout=TIMEOUT_S) as answer:
            active = [image["id"] for image in json.load(answer)["images"] if image["status"] == "active"]
        return active[0] if active else None

    def _has_finished(self) -> bool:
        """Return whether the job has ended, read from the database, because a request to the API would be recorded."""
        with closing(sqlite3.connect(self._state / "precache.sqlite", timeout=TIMEOUT_S)) as connection:
            return connection.execute("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL").fetchone() == (1,)

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"{self._url}/compute/v2.1/os-aggregates{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "OpenStack-API-Version": "compute 2.81"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or "null")

    def _wait_for(self, get: Callable[[], T]) -> T:
        """Call `get` until its result is true; return the result."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if answer := get():
                return answer
            time.sleep(POLL_S)
        raise MeasurementFailed(
            f"nothing came within {TIMEOUT_S} s; the log ends with\n{self._log.read_text()[-2000:]}"
        )
