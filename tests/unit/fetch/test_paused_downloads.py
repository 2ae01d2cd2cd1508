"""An image that was paused while it arrived, and what may happen before it goes on.

Both ways of an image to the cache are tested: a download, and a qcow2 that is decoded while it arrives.
"""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import MemoryImages
from precache.core.errors import ImageServiceUnavailable, NotEnoughSpace, Stopped
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import record_name
from precache.imagecache.space.disk_usage import disk_size
from precache.imagecache.space.space_ledger import SpaceLedger
from tests.unit.fetch.world import IMAGE, disk_with, record_of

HALF = 8 * BLOCK_BYTES + 4711
DISK = os.urandom(16 * BLOCK_BYTES)


@dataclass(frozen=True)
class Way:
    """An image of DISK, and how it gets to the cache. decoded_by: as in a task."""

    disk_format: str
    data: bytes
    disk: bytes
    decoded_by: str = ""

    def reversed(self) -> Way:
        """Return an image with other data."""
        if self.disk_format == "raw":
            return replace(self, data=self.data[::-1], disk=self.disk[::-1])
        return replace(self, data=self.data[: -len(TAIL)] + TAIL, disk=self.disk[: -len(TAIL)] + TAIL)


TAIL = b"other data" * 100
RAW = Way("raw", DISK + b"1234567", DISK + b"1234567")


def convert(disk: bytes, directory: Path, *options: str, disk_format: str = "qcow2") -> bytes:
    """Return the disk in another format."""
    (directory / "disk").write_bytes(disk)
    command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, *options, "disk", "image"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return (directory / "image").read_bytes()


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    return Way("qcow2", convert(DISK, tmp_path_factory.mktemp("image")), DISK, "stream")


@pytest.fixture(params=["raw", "decoded"])
def way(request):
    return RAW if request.param == "raw" else request.getfixturevalue("decoded")


class CountingImages(MemoryImages):
    """Counts the bytes that it sends, and sends no more than `until` bytes in all until it is told otherwise."""

    sent_bytes, until, refuses = 0, HALF, False

    def open(self, image, offset_bytes=0, *, stop=None):
        if self.refuses:
            raise ImageServiceUnavailable("glance", "refused")
        return CountingStream(self, super().open(image, offset_bytes, stop=stop), stop)


class CountingStream:
    def __init__(self, images, stream, stop):
        self._images, self._stream, self._stop = images, stream, stop
        self.remaining_bytes, self.has_marked_end = stream.remaining_bytes, stream.has_marked_end

    def readinto(self, buffer):
        left = self._images.until - self._images.sent_bytes
        while left <= 0 and not self._stop.wait(0.01):
            left = self._images.until - self._images.sent_bytes
        if left <= 0:
            return 0
        count = self._stream.readinto(buffer[:left])
        self._images.sent_bytes += count
        return count

    def close(self):
        self._stream.close()


class World:
    """One host and one image."""

    def __init__(self, tmp_path, way=RAW, **parts):
        self.clock = MemoryClock()
        self.cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=self.clock)
        self.cache.start()
        self.serve(way)
        self.rules = FetchRules(retries=0)
        self.parts, self.final_parts = parts, None

    def serve(self, way, **facts):
        self.way, self.size = way, len(way.data)
        self.images = CountingImages(images={IMAGE: (record_of(way.data, way.disk_format, **facts), way.data)})

    def fetch(self, watch=lambda *report: None, disk=disk_size, **parts):
        self.cache.ledger = SpaceLedger(directory=self.cache.directory, clock=self.clock, disk_size=disk)
        fetcher = Fetcher(images=self.images, clock=self.clock, rules=self.rules, **(self.parts | parts))

        def produce(staging):
            fetched = fetcher.fetch(ImageOrder(IMAGE), staging, watch, self.final_parts)
            self.decoded_by = fetched.decoded_by
            return fetched

        self.cache.ensure(IMAGE, produce)
        assert self.cache.path_of(IMAGE).read_bytes() == self.way.disk
        entry = self.cache.path_of(IMAGE).name
        assert self.left() == [entry, record_name(entry)]

    def pause(self, reason=StopReason.PAUSED, at=HALF, keeps_data=True, when=lambda phase, done: True, **parts):
        def watch(phase, bytes_done, bytes_total):
            if bytes_done >= at and when(phase, bytes_done):
                raise Stopped("Caching", reason, keeps_data)

        with pytest.raises(Stopped):
            self.fetch(watch, **parts)
        self.images.until = 4 * self.size

    @property
    def kept_bytes(self):
        return self.cache.kept.bytes_of(IMAGE)

    def kept_files(self, end):
        return [path for path in self.cache.directory.iterdir() if path.name.endswith(end)]

    def left(self):
        return sorted(path.name for path in self.cache.directory.iterdir())


@pytest.fixture
def world(tmp_path, way):
    return World(tmp_path, way)


def test_every_byte_that_was_received_is_kept_and_none_is_sent_again(world):
    world.pause()
    assert world.kept_bytes == HALF
    assert len(world.left()) == (3 if world.way.decoded_by else 2)

    world.fetch()

    assert world.images.sent_bytes == world.size
    assert world.decoded_by == world.way.decoded_by


def test_it_may_be_paused_again_and_again_also_while_it_reads_what_is_kept(world):
    world.pause()
    for until in (HALF + 5, HALF + 5, HALF + BLOCK_BYTES, world.size):
        world.images.until = until
        world.pause(at=min(until, world.kept_bytes))
        assert HALF <= world.kept_bytes <= until

    world.fetch()

    assert world.images.sent_bytes == world.size


def test_a_stop_that_keeps_nothing_leaves_nothing(world):
    world.pause(StopReason.CANCELLED, keeps_data=False)

    assert world.left() == []


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.PAUSED, StopReason.CANCELLED])
def test_a_stop_while_it_goes_on_loses_nothing_that_another_job_has_paused(world, reason):
    world.pause()
    world.images.until = HALF + BLOCK_BYTES

    world.pause(reason, at=HALF + BLOCK_BYTES, keeps_data=reason is StopReason.PAUSED)

    assert world.kept_bytes == HALF + BLOCK_BYTES
    world.fetch()
    assert world.images.sent_bytes == world.size


def test_an_interrupt_of_a_command_that_goes_on_with_it_loses_nothing(world):
    def interrupt(phase, bytes_done, bytes_total):
        raise KeyboardInterrupt

    world.pause()

    with pytest.raises(KeyboardInterrupt):
        world.fetch(interrupt)

    world.fetch()
    assert world.images.sent_bytes == world.size


def test_an_image_service_that_is_down_when_it_goes_on_loses_nothing(world):
    world.pause()
    world.images.refuses = True

    with pytest.raises(ImageServiceUnavailable):
        world.fetch()

    world.images.refuses = False
    world.fetch()
    assert world.images.sent_bytes == world.size


def test_a_full_disk_when_it_goes_on_loses_this_download_alone(world):
    def full(*call):
        raise OSError(errno.ENOSPC, "no space left on device")

    world.pause()

    with pytest.raises(NotEnoughSpace):
        world.fetch(write_at=full)

    assert world.left() == []
    world.fetch()


def test_only_the_space_for_the_rest_is_needed(world):
    world.serve(world.way, virtual_size_bytes=len(world.way.disk))
    world.pause()
    (data,) = world.kept_files("kept-data")
    rest = len(world.way.disk) - data.stat().st_blocks * 512 if world.way.decoded_by else world.size - HALF

    with pytest.raises(NotEnoughSpace):
        world.fetch(disk=disk_with(rest - 1))
    assert world.kept_bytes == HALF  # which is not lost by the refusal

    world.fetch(disk=disk_with(rest))
    assert world.images.sent_bytes == world.size


def test_another_image_in_the_record_is_fetched_from_its_start(world):
    world.pause()
    world.serve(world.way.reversed())
    world.images.until = 4 * world.size

    world.fetch()

    assert world.images.sent_bytes == world.size


def test_an_image_that_cannot_be_verified_is_not_kept(world):
    world.serve(world.way, digest=None)

    world.pause()

    assert world.left() == []


def test_what_has_become_damaged_is_fetched_from_the_start_and_no_attempt_is_lost(world):
    world.rules = FetchRules(retries=0, refetches=0)
    world.pause()
    (data,) = world.kept_files("kept-data")
    with data.open("r+b") as file:
        file.write(b"damage")

    world.fetch()

    wasted = 0 if world.way.decoded_by else world.size - HALF  # a download is hashed again, to its end
    assert world.images.sent_bytes == HALF + wasted + world.size


def test_progress_goes_on_where_it_ended(world):
    reports = []
    world.pause()

    world.fetch(lambda phase, *count: reports.append((phase, *count)))

    downloading = [done for phase, done, _ in reports if phase is Phase.DOWNLOADING]
    assert min(downloading) >= HALF


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_zeros_are_holes_also_after_a_pause(tmp_path, disk_format):
    disk = bytes(8 * BLOCK_BYTES) + DISK[: 8 * BLOCK_BYTES] + bytes(8 * BLOCK_BYTES)
    options = ["-S", "0"]  # zeros are in the image
    data = disk if disk_format == "raw" else convert(disk, tmp_path, *options)
    world = World(tmp_path, Way(disk_format, data, disk))
    world.images.until = at = len(data) // 2
    world.pause(at=at)
    world.clock.advance(timedelta(hours=1))

    world.fetch()

    assert world.cache.path_of(IMAGE).stat().st_blocks * 512 <= 8 * BLOCK_BYTES + 8192
