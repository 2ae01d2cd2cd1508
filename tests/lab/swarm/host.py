"""One host of a site: the libvirt driver with its cache, as a compute has it, behind a socket in its folder."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precache.config.load import load_config
from precache.core.errors import PrecacheError
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.work_context import working_on_job
from precache.wiring.hosts import build_driver, host_setup, image_service
from tests.lab.swarm.calls import CallServer
from tests.lab.swarm.hosts import HostPlace

SAMPLE_S = 0.05
SOCKET = "socket"
INSTANCES = "instances"


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
        folder = Path(place.folder)
        instances = folder / INSTANCES
        instances.mkdir(exist_ok=True)
        config = load_config([])
        self._name = place.name
        setup = host_setup(
            config=config,
            host=place.name,
            instances_path=instances,
            images=image_service(config, place.image_service),
        )
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


def run_host(place: HostPlace) -> None:
    """Be this host, until the process is killed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    CallServer(Path(place.folder) / SOCKET, Host(place))
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
