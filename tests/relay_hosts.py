"""Hosts of a site in one process, which pass images on to each other over loopback with real servers and TLS."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.images_memory import NO_FAULTS, ImageFaults, MemoryImages
from precache.core.bytes_from import BytesFrom
from precache.core.cache_entries import entry_name
from precache.core.errors import ImageServiceUnavailable, Stopped
from precache.core.images import Image, ImageId
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.relays import PIECE_BYTES
from precache.core.stopping import StopReason
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.fetch.rate_limits import RateLimit, RateLimits
from precache.imagecache.cache import ImageCache
from precache.imagecache.staging import Fetched, Staging
from precache.swarm.pieces_client import PiecesClient
from precache.swarm.pieces_request import ServingLimits
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.swarm_fetcher import SwarmFetcher
from precache.swarm.swarm_host import SwarmHost
from tests.relay_planner import RulesPlanner
from tests.swarm_hosts import CELL, SwarmHosts
from tests.waiting import wait_until

BY_SWARM = OrderOptions(by_swarm=True)
PATIENCE = timedelta(seconds=5)
EVERYTHING = 1 << 40
HOLE_BYTES = 10 * PIECE_BYTES


class GatedImages(MemoryImages):
    """An image service that sends no more than `until` bytes of an image, until it is told otherwise."""

    def __init__(self, image: Image, data: bytes, faults: ImageFaults = NO_FAULTS, others=()) -> None:
        super().__init__(images={image.id: (image, data), **dict(others)}, faults={image.id: faults})
        self.until = EVERYTHING
        self.down_after: int | None = None
        """After how many bytes of a stream the service is down."""
        self.sent_bytes = 0
        self.streams = 0

    def open(self, image, offset_bytes=0, *, stop=None):
        self.streams += 1
        return _GatedStream(self, super().open(image, offset_bytes, stop=stop), stop, offset_bytes)


class _GatedStream:
    def __init__(self, images, stream, stop, offset) -> None:
        self._images, self._stream, self._stop, self._at = images, stream, stop, offset
        self.remaining_bytes, self.has_marked_end = stream.remaining_bytes, stream.has_marked_end

    def readinto(self, buffer: memoryview) -> int:
        if self._images.down_after is not None and self._at >= self._images.down_after:
            raise ImageServiceUnavailable("glance", "the test has stopped it")
        while (left := self._images.until - self._at) <= 0:
            if self._stop.wait(0.01):
                return 0
        count = self._stream.readinto(buffer[:left])
        self._at += count
        self._images.sent_bytes += count
        return count

    def close(self) -> None:
        self._stream.close()


class RelayHost:
    """One host. `cache_image` begins, and returns the future of the path of the entry."""

    def __init__(
        self, name: str, directory: Path, swarm: SwarmHosts, planner: RulesPlanner, images: GatedImages, **parts: Any
    ) -> None:
        self.name, self._planner, self.images = name, planner, images
        serve_for = parts.pop("serve_for", timedelta(minutes=5))
        rules = parts.pop("rules", FetchRules(retries=0))
        self.clock = SystemClock()
        self.cache = ImageCache(directory=directory / name / "_base", locks_directory=directory / name / "locks",
                                clock=self.clock)  # fmt: skip
        self.cache.start()
        trust = parts.pop("trust", None) or swarm.host(name)
        limits = ServingLimits(max_connections=8, upload_rate=lambda: None)
        self.server = PiecesServer(trust=trust, address="127.0.0.1", ports=(0, 0), limits=limits)
        self.server.start()
        self.rates = RateLimits()
        self.fetcher = SwarmFetcher(
            host=SwarmHost(
                name=name,
                cell=CELL,
                address=parts.pop("address", lambda: f"127.0.0.1:{self.server.port}"),
                fetcher=Fetcher(images=images, clock=self.clock, rules=rules, rates=self.rates),
                planner=planner,
                trust=trust,
                server=self.server,
                client=PiecesClient(trust=trust, rate_now=lambda: None, silence_s=10),
                clock=self.clock,
                rates=self.rates,
                **parts,
            ),
            entries=self.cache.served,
            serve_for=serve_for,
        )
        self.fetcher.start()
        planner.on_change[name] = self.fetcher.changed
        self._pool = ThreadPoolExecutor(4)
        self.stop_reason: tuple[StopReason, bool] | None = None
        self.done_bytes = 0
        self.waits: list[float] = []
        """The seconds that do not count for the deadline of the task."""
        self.sources: list[tuple[str, BytesFrom]] = []
        """What the task was told: the parent, and from where the bytes came."""
        self.fetched: Fetched | None = None

    def cache_image(self, image: ImageId, options: OrderOptions = BY_SWARM) -> Future[Path]:
        self.stop_reason = None

        def produce(staging: Staging) -> Fetched:
            with self.rates.applied(image, RateLimit(lambda: options.rate_limit_bytes_per_s, self.waits.append)):
                self.fetched = self.fetcher.fetch(ImageOrder(image, options), staging, HostWatch(self))
            return self.fetched

        def run() -> Path:
            self.cache.ensure(image, produce)
            return self.cache.path_of(image)

        return self._pool.submit(run)

    def stop_task(self, reason: StopReason, *, keeps_data: bool) -> None:
        """Stop what runs, as a compute does."""
        self.stop_reason = reason, keeps_data

    def left(self) -> list[str]:
        """Return the files of the cache, without the names of entries and tokens."""
        return sorted(path.name.partition(".")[2].rpartition("-")[2] for path in self.cache.directory.iterdir())

    def entry(self, image: ImageId) -> Path:
        return self.cache.directory / entry_name(image)

    def close(self) -> None:
        self.stop_task(StopReason.SHUTDOWN, keeps_data=False)
        self._pool.shutdown(wait=True)
        self.fetcher.stop(PATIENCE)
        self.server.stop()


class HostWatch:
    """The ports `Watcher` and `SourceWatcher` of one task."""

    def __init__(self, host: RelayHost) -> None:
        self._host = host

    def __call__(self, phase: object, bytes_done: int, bytes_total: int) -> None:
        self._host.done_bytes = bytes_done
        if self._host.stop_reason is not None:
            raise Stopped("Caching", *self._host.stop_reason)

    def note_source(self, parent: str, bytes_from: BytesFrom, interval: timedelta) -> None:
        self._host.sources.append((parent, bytes_from))


class Site:
    """Some hosts, one image, one image service, and conductors with the real rules."""

    def __init__(self, directory: Path, image: Image, data: bytes, **parts: Any) -> None:
        self.swarm = SwarmHosts()
        self.planner = RulesPlanner(self.swarm, attestations=parts.pop("attestations", 1))
        self.image, self.data = image, data
        self.images = GatedImages(image, data, parts.pop("faults", NO_FAULTS), parts.pop("other_images", ()))
        self._directory, self._parts = directory, parts
        self.hosts: dict[str, RelayHost] = {}

    def host(self, name: str, **parts: Any) -> RelayHost:
        """Return a new host, or one that starts again with the disk of the earlier one of its name."""
        parts = self._parts | parts
        self.hosts[name] = RelayHost(name, self._directory, self.swarm, self.planner, self.images, **parts)
        return self.hosts[name]

    def begin_chain(
        self, *names: str, until: int = 2 << 20, **parts: Any
    ) -> tuple[list[RelayHost], list[Future[Path]]]:
        """Begin on new hosts, the first of which is the seeder, each behind the one before; return them with futures.

        Each has received most of what the image service has sent so far. until: how many bytes it sends.
        """
        self.images.until = until
        hosts, futures = [], []
        for name in names:
            host = self.host(name, **parts)
            hosts.append(host)
            futures.append(host.cache_image(self.image.id))
            wait_until(lambda host=host: host.done_bytes > until - (1 << 20))  # type: ignore[misc]
        assert [self.planner.parent_of(name) for name in names] == ["", *names[:-1]]
        return hosts, futures

    def finish(self, *futures: Future[Path]) -> None:
        """Let the image service send everything, and check the entries."""
        self.images.until = EVERYTHING
        for future in futures:
            assert future.result(30).read_bytes() == self.data

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        closers = [threading.Thread(target=host.close) for host in self.hosts.values()]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()


def some_content(size_bytes: int) -> bytes:
    """Return random content, with a hole of several pieces in the middle."""
    content = bytearray(os.urandom(size_bytes))
    start = size_bytes // 2 // PIECE_BYTES * PIECE_BYTES
    hole = slice(start, start + HOLE_BYTES)
    content[hole] = bytes(len(content[hole]))
    return bytes(content)
