"""A compute in a process of its own, on a real bus: `python -m tests.contract.played_compute URL HOST SECONDS FILE`.

It takes SECONDS for every image, and writes the job's id to FILE whenever it begins with one. It reports progress and,
once it listens, sends a heartbeat. SIGTERM stops the work under way first, then the server, as in
wiring/compute_process.py.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from precache.adapters.bus_oslo import BusReports, ComputeServer, open_bus
from precache.adapters.clock_system import SystemClock
from precache.background.cancel_token import CancelToken
from precache.compute.process_images import ProcessImages
from precache.core.hosts import Heartbeat
from precache.core.jobs import Phase
from precache.core.stopping import StopReason
from precache.core.work_context import current_work
from precache.wiring.progress import SEND_INTERVAL, progress_batcher
from tests.contract.buses import new_conf
from tests.waiting import wait_until

PATIENCE = timedelta(seconds=6)
START_TIMEOUT_S = 60
WATCH_INTERVAL_S = 0.1


def main(url: str, host: str, seconds: float, file: Path) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    stop = CancelToken()
    signal.signal(signal.SIGTERM, lambda *_: stop.cancel(StopReason.SHUTDOWN))
    bus = open_bus(new_conf(), url)
    reports = BusReports(bus=bus)
    progress = progress_batcher(reports.note_progress, interval=SEND_INTERVAL)
    progress.start()

    caching = ProcessImages(
        host=host, cell="", driver=SlowDriver(seconds, file), progress=progress, clock=SystemClock(), stop=stop
    )
    server = ComputeServer(bus=bus, host=host, compute=caching)
    beat = Heartbeat(host, "", "fake", datetime.now(UTC))
    server.start(then=lambda: reports.store_heartbeats([beat]))
    if server.wait_until_listening(timedelta(seconds=0.5)):
        print("listening", flush=True)
    else:
        print("started", flush=True)
    print(
        f"eventlet: {any(module and name.split('.')[0] == 'eventlet' for name, module in sys.modules.items())}",
        flush=True,
    )
    while not stop.wait(WATCH_INTERVAL_S):
        pass
    server.stop(PATIENCE)
    progress.stop(PATIENCE)
    bus.close()
    print("ended", flush=True)


class SlowDriver:
    """Takes so many seconds for each image."""

    name = "slow"

    def __init__(self, seconds: float, file: Path) -> None:
        self._seconds, self._file = seconds, file

    def start(self) -> None: ...

    def clean_cache(self) -> None: ...

    def cache_image(self, order, watch) -> bool:
        work = current_work()
        with self._file.open("a") as out:
            out.write(f"{work.job_id}\n")
        until = time.monotonic() + self._seconds
        watch(Phase.DOWNLOADING, 1, 2)
        while time.monotonic() < until:
            time.sleep(WATCH_INTERVAL_S)
            watch(Phase.DOWNLOADING, 1, 2)
        return True


class PlayedCompute:
    """Such a process, from the test's side."""

    def __init__(self, url: str, host: str, seconds: float, directory: Path) -> None:
        self._command = [sys.executable, "-m", "tests.contract.played_compute", url, host, str(seconds)]
        self.file = directory / f"{host}.begun"
        self.out = directory / f"{host}.out"
        self.errors = directory / f"{host}.errors"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.out.open("wb") as out, self.errors.open("ab") as errors:
            self.process = subprocess.Popen([*self._command, str(self.file)], stdout=out, stderr=errors)
        wait_until(lambda: "eventlet:" in self.out.read_text(), START_TIMEOUT_S)

    @property
    def begun(self) -> list[str]:
        """The job of each image that it has begun with."""
        return self.file.read_text().split() if self.file.exists() else []

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 30) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)


@contextmanager
def played_compute(url: str, host: str, seconds: float, directory: Path):
    """Have one run."""
    compute = PlayedCompute(url, host, seconds, directory)
    compute.start()
    try:
        yield compute
    finally:
        if compute.process is not None and compute.process.poll() is None:
            compute.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
