"""One host of a site, behind a socket in its folder: the libvirt driver with its cache, and what passes images on to
other hosts, as a compute has them."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from precache.compute.swarm_member import HostInSwarm
from precache.config.load import Config, load_config
from precache.core.errors import ConductorUnreachable, PrecacheError
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.relays import Assignment, JoinRequest, RelayReport, ReportKind
from precache.core.swarm_certificates import HostCertificate
from precache.core.work_context import working_on_job
from precache.fetch.rate_limits import RateLimits
from precache.swarm.relay_file import RelayFile
from precache.wiring.hosts import build_driver, host_setup, image_fetcher, image_service
from precache.wiring.swarm_member import build_swarm_member
from tests.lab.swarm.calls import CallFailed, CallServer, call
from tests.lab.swarm.hosts import HOST_SOCKET, INSTANCES, HostPlace
from tests.waiting import wait_until

SAMPLE_S = 0.05
FILLING = "filling"
PORT = 8785
CONDUCTOR_PATIENCE_S = 30


@dataclass(slots=True)
class HostResult:
    """What one host has done with one image.

    began, ended: on the monotonic clock, which all processes of a machine share. error: in words; empty if it has the
    image. cpu_s: of the process and its tools meanwhile. idle_bytes, peak_bytes: resident memory before and at most.
    samples: when the host had how many bytes.
    """

    host: str
    began: float
    ended: float = 0.0
    is_new: bool = False
    error: str = ""
    cpu_s: float = 0.0
    idle_bytes: int = 0
    peak_bytes: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)


class Host:
    """What the tests call. All methods may be called at the same time."""

    def __init__(self, place: HostPlace) -> None:
        self._instances = Path(place.folder) / INSTANCES
        self._instances.mkdir(exist_ok=True)
        self._name = place.name
        config, rates = _config(place), RateLimits()
        fetcher = image_fetcher(config=config, images=image_service(config, place.image_service), rates=rates)
        setup = host_setup(
            config=config,
            host=place.name,
            instances_path=self._instances,
            fetcher=fetcher,
            rates=rates,
        )
        self._swarm: HostInSwarm | None = None
        if place.conductor:
            if place.sends_wrong_pieces:
                RelayFile.read_into = _read_wrongly  # type: ignore[method-assign]  in this process alone
            swarm_fetcher, self._swarm = build_swarm_member(
                config=config,
                host=place.name,
                cell="",  # the conductor knows it, as on a bus
                fetcher=fetcher,
                planner=_Conductors(Path(place.conductor), reports_slow=place.reports_slow),
                clock=setup.clock,
                rates=rates,
                entries=setup.local_cache.open(setup.clock).served,
            )
            self._swarm.start()
            wait_until(self._is_certified, CONDUCTOR_PATIENCE_S)
            setup = replace(setup, fetcher=swarm_fetcher)
        self._driver = build_driver("libvirt", setup)
        self._driver.start()
        self._bytes_done = 0

    def cache(self, image: str, options: dict[str, Any], job: str) -> HostResult:
        """Cache the image, and return how it went."""
        result = HostResult(self._name, time.monotonic(), idle_bytes=_memory("VmRSS"))
        used = _cpu_s()
        _reset_peak()

        def watch(phase: Phase, bytes_done: int, bytes_total: int) -> None:
            self._bytes_done = bytes_done
            now = time.monotonic()
            if not result.samples or now - result.samples[-1][0] >= SAMPLE_S:
                result.samples.append((now, bytes_done))

        try:
            with working_on_job(job):
                order = ImageOrder(parse_image_id(image), OrderOptions.read(options))
                result.is_new = self._driver.cache_image(order, watch)
        except PrecacheError as error:
            logging.getLogger(__name__).warning("%s has not got the image", self._name, exc_info=True)
            result.error = f"{type(error).__name__}: {error}"
        result.ended = time.monotonic()
        result.cpu_s = _cpu_s() - used
        result.peak_bytes = _memory("VmHWM")
        return result

    def bytes_done(self) -> int:
        """Return how many bytes it had when it last reported."""
        return self._bytes_done

    def change_relay(self, assignment: Assignment) -> None:
        """Follow the assignment, as after a message of the conductor."""
        if self._swarm is not None:
            self._swarm.changed(assignment)

    def sent_bytes(self, relay: str) -> int:
        """Return how many bytes it has sent to other hosts for the relay, with all that is not pieces."""
        # Nothing but a benchmark asks a host for it.
        server = self._swarm._server if self._swarm is not None else None
        return server.serving(relay).sent_bytes if server is not None else 0

    def _is_certified(self) -> bool:
        return self._swarm is not None and self._swarm.check(None).certified_until is not None

    def fill_disk(self) -> None:
        """Use all free space of the disk of its cache."""
        with (self._instances / FILLING).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 << 10))
            except OSError:
                pass


class _Conductors:
    """The port `SwarmPlanner`."""

    def __init__(self, socket: Path, *, reports_slow: bool) -> None:
        self._socket, self._reports_slow = socket, reports_slow

    def join(self, request: JoinRequest) -> Assignment:
        return self._ask("join", request)

    def report(self, report: RelayReport) -> Assignment:
        if report.kind is ReportKind.SLOW and not self._reports_slow:
            report = replace(report, kind=ReportKind.PROGRESS)
        return self._ask("report", report)

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        return self._ask("certify", host, cell, signing_request)

    def _ask(self, method: str, *words: Any) -> Any:
        try:
            return call(self._socket, method, *words)
        except CallFailed as error:
            raise ConductorUnreachable(str(error)) from error


_read_rightly = RelayFile.read_into


def _read_wrongly(file: RelayFile, index: int, buffer: memoryview) -> int:
    """Read other bytes than the file has, from its third piece on."""
    length = _read_rightly(file, index, buffer)
    if length and index > 2:
        buffer[0] ^= 1
    return length


def _config(place: HostPlace) -> Config:
    config = load_config([])
    swarm = replace(
        config.swarm,
        listen_address=place.address,
        address=place.address,
        ports=(PORT, PORT),
        serve_s=timedelta(seconds=place.serve_s),
    )
    return replace(config, swarm=swarm)


def run_host(place: HostPlace) -> None:
    """Be this host, until the process is killed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    CallServer(Path(place.folder) / HOST_SOCKET, Host(place))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Event().wait()


def _memory(field_name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field_name}:"):
            return int(line.split()[1]) << 10
    return 0


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
