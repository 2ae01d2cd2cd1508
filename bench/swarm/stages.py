"""The measured runs on one site. Each begins with hosts that have an empty cache, and leaves none running."""

from __future__ import annotations

import filecmp
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.swarm.idle import IdleMeter
from bench.swarm.images import make_image, make_versions
from bench.swarm.measured import Measured
from bench.swarm.sites import Size
from bench.swarm.torrents import measure_torrent
from tests.lab.swarm.host import HostResult
from tests.lab.swarm.site import Forks, Site, results_of, site
from tests.namespaces import (
    LARGEST_PACKET_BYTES,
    QUEUE_MS,
    STRICT_BURST_BYTES,
    STRICT_PACKET_BYTES,
    ShapedNetwork,
    shaped_network,
)

PATIENCE = 6
"""How many times the least possible time a run may take."""

TORRENT_PATIENCE = 4.5

DIRECT_QUEUE_MS = 500
FAST_BITS_PER_S = 1_000_000_000
SEED_TIMEOUT_S = 60
WHOLE = "whole.qcow2"


class Bench:
    """One site with its links, and the images that are sent through it. A context manager."""

    def __init__(self, folder: Path, forks: Forks, hosts: int, size: Size) -> None:
        self._folder, self._forks, self._hosts, self._size = folder, forks, hosts, size
        self._images = folder / "images"
        self._runs = 0
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        self._images.mkdir()
        make_image(self._images, "whole", self._size.image_mib)
        make_image(self._images, "direct", self._size.direct_mib)
        self._changed_bytes = make_versions(self._images, self._size.image_mib)
        is_strict = self._size.burst_bytes == STRICT_BURST_BYTES
        network = self._shaped(STRICT_PACKET_BYTES if is_strict else LARGEST_PACKET_BYTES)
        self.network: ShapedNetwork = self._stack.enter_context(network)
        return self

    def _shaped(self, packet_bytes: int, queue_ms: int = QUEUE_MS) -> AbstractContextManager[ShapedNetwork]:
        rate = self._size.bits_per_s
        return shaped_network(
            self._folder,
            hosts=self._hosts,
            bits_per_s=rate,
            origin_bits_per_s=rate,
            burst_bytes=self._size.burst_bytes,
            packet_bytes=packet_bytes,
            queue_ms=queue_ms,
        )

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def direct(self) -> Measured:
        """Let each host fetch a small image from the image service by itself.

        The connections share the link of the image service, so that its queue must hold packets of all.
        """
        image = "direct.qcow2"
        with (
            self._shaped(LARGEST_PACKET_BYTES, DIRECT_QUEUE_MS) as network,
            self._running(network, has_conductor=False) as (running, hosts),
        ):
            return self._timed(running, hosts, image, patience=2 * len(hosts))

    def torrent(self, *, chain: bool) -> Measured | None:
        """Send the file that the hosts keep from the first host to the others by libtorrent; None if it takes long."""
        content = self._folder / "whole.raw"
        idle = IdleMeter()
        floor_s = self._size.floor_s(content.stat().st_size)
        measured = measure_torrent(
            self.network, self._new_folder(), content, chain=chain, timeout_s=TORRENT_PATIENCE * floor_s
        )
        if measured is not None:
            measured.idle, measured.floor_s = idle.share(), floor_s
        return measured

    def relayed(self) -> Measured:
        """Let all hosts get the image from one that has it."""
        with self._running() as (running, hosts):
            self._seed(running, hosts[0])
            return self._timed(running, hosts[1:], WHOLE, by_swarm=True)

    def end_to_end(self, uplink_share: float = 1.0) -> Measured:
        """Let all hosts get the image when none has it. uplink_share: rate of the image service by that of a host."""
        self.network.set_rate(self.network.origin, int(self._size.bits_per_s * uplink_share))
        try:
            with self._running() as (running, hosts):
                return self._timed(running, hosts, WHOLE, uplink_share=uplink_share, by_swarm=True)
        finally:
            self.network.set_rate(self.network.origin, self._size.bits_per_s)

    def killed(self) -> Measured:
        """Kill a host in the middle of the chain when it has a third; the other hosts go on. Its gap is the child's."""
        with self._running() as (running, hosts):
            self._seed(running, hosts[0])
            begun, began, idle = running.begin(hosts[1:], WHOLE, by_swarm=True), time.monotonic(), IdleMeter()
            victim, child = running.middle_of_chain(WHOLE)
            running.wait_for_bytes(victim, self._file_bytes // 3)
            running.kill(victim)
            killed_at = time.monotonic()
            return self._with_fault(running, begun, began, idle, child, killed_at)

    def slowed(self) -> Measured:
        """Give a host in the middle of the chain a twentieth of the rate when it has a third; it does not count."""
        with self._running() as (running, hosts):
            self._seed(running, hosts[0])
            begun, began, idle = running.begin(hosts[1:], WHOLE, by_swarm=True), time.monotonic(), IdleMeter()
            slow, child = running.middle_of_chain(WHOLE)
            running.wait_for_bytes(slow, self._file_bytes // 3)
            self.network.set_rate(self.network.hosts[slow], self._size.bits_per_s // 20)
            slowed_at = time.monotonic()
            try:
                begun.pop(slow)
                return self._with_fault(running, begun, began, idle, child, slowed_at)
            finally:
                self.network.set_rate(self.network.hosts[slow], self._size.bits_per_s)

    def next_version(self) -> Measured:
        """Let all hosts get a version of which 5 % differs from the one that they have; both are raw images."""
        old, new = "old.raw", "new.raw"
        with self._running() as (running, hosts):
            self.network.set_rates(FAST_BITS_PER_S, FAST_BITS_PER_S)
            running.cache(hosts, old, SEED_TIMEOUT_S, by_swarm=True)
            self.network.set_rates(self._size.bits_per_s, self._size.bits_per_s)
            measured = self._timed(running, hosts, new, by_swarm=True, base=running.images[old])
            relay = running.plan(new).id
            moved = sum(running.ask(host, "sent_bytes", relay) for host in hosts)
            measured.moved_ratio = round(moved / (len(hosts) - 1) / self._changed_bytes, 3)
            measured.uplink_ratio = round(measured.origin_bytes / self._changed_bytes, 3)
            return measured

    @property
    def _file_bytes(self) -> int:
        return (self._folder / "whole.raw").stat().st_size

    def _seed(self, running: Site, host: str) -> None:
        """Let this host fetch the image first, over links without a limit."""
        for machine in (self.network.hosts[host], self.network.origin):
            self.network.set_rate(machine, FAST_BITS_PER_S)
        running.cache([host], WHOLE, SEED_TIMEOUT_S, by_swarm=True)
        for machine in (self.network.hosts[host], self.network.origin):
            self.network.set_rate(machine, self._size.bits_per_s)

    def _with_fault(
        self,
        running: Site,
        begun: dict[str, Future[HostResult]],
        began: float,
        idle: IdleMeter,
        child: str,
        fault_at: float,
    ) -> Measured:
        floor_s = self._size.floor_s(self._file_bytes)
        results = results_of(begun, PATIENCE * floor_s + 30)
        measured = self._measured(running, results, WHOLE, began, floor_s, idle)
        measured.gap_s = longest_gap(next(one for one in results if one.host == child), fault_at)
        return measured

    def _timed(
        self,
        running: Site,
        hosts: Sequence[str],
        image: str,
        *,
        patience: float = PATIENCE,
        uplink_share: float = 1.0,
        **options: Any,
    ) -> Measured:
        floor_s = self._size.floor_s((self._images / image).stat().st_size, min(uplink_share, 1.0))
        idle, began = IdleMeter(), time.monotonic()
        results = running.cache(hosts, image, patience * floor_s + 30, **options)
        return self._measured(running, results, image, began, floor_s, idle)

    def _measured(
        self,
        running: Site,
        results: Sequence[HostResult],
        image: str,
        began: float,
        floor_s: float,
        idle: IdleMeter,
    ) -> Measured:
        """Return what these results show. Raises AssertionError if a host has failed, or has other bytes."""
        share = idle.share()
        failed = [f"{result.host}: {result.error}" for result in results if result.error]
        assert not failed, failed
        content = self._images / image if image.endswith(".raw") else self._folder / f"{Path(image).stem}.raw"
        for result in results:
            entry = running.entry(result.host, image)
            assert filecmp.cmp(entry, content, shallow=False), f"{result.host} has other bytes"
        hosts_s = [result.ended - began for result in results]
        origin_bytes = running.origin_bytes(image)
        plan = running.plan(image) if running.has_conductor else None
        relaying = {member.parent for member in plan.members} - {""} if plan else set()
        return Measured(
            seconds=max(hosts_s),
            cpu_s=sum(result.cpu_s for result in results),
            floor_s=floor_s,
            idle=share,
            origin_bytes=origin_bytes,
            origin_copies=round(origin_bytes / (self._images / image).stat().st_size, 3),
            memory_bytes=max(result.peak_bytes - result.idle_bytes for result in results),
            relay_cpu_s=max((one.cpu_s for one in results if one.host in relaying), default=0.0),
            messages=running.message_count() if plan else 0,
            hosts_s=hosts_s,
        )

    @contextmanager
    def _running(
        self, network: ShapedNetwork | None = None, *, has_conductor: bool = True
    ) -> Iterator[tuple[Site, list[str]]]:
        """Run the image service, a conductor, and all hosts with empty caches."""
        network = network or self.network
        hosts = list(network.hosts)
        folder = self._new_folder()
        with site(network, folder, self._images, self._forks) as running:
            if has_conductor:
                running.start_conductor()
            running.start(*hosts)
            yield running, hosts
        shutil.rmtree(folder)  # the caches are in memory

    def _new_folder(self) -> Path:
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        folder.mkdir()
        return folder


def longest_gap(result: HostResult, since: float) -> float:
    """Return the longest time without a new byte at this host, from a moment on, in seconds."""
    gap, last_at, last_bytes = 0.0, since, -1
    for at, bytes_done in result.samples:
        if at >= since and bytes_done > last_bytes:
            gap, last_at, last_bytes = max(gap, at - last_at), at, bytes_done
    return round(gap, 3)
