"""A download that was paused, and what may happen before it goes on."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

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
from tests.unit.fetch.world import IMAGE, disk_with, record_of, sha512

SIZE = 40 * BLOCK_BYTES + 7
HALF = 20 * BLOCK_BYTES + 4711
DATA = os.urandom(SIZE)


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

    def __init__(self, tmp_path, **parts):
        self.clock = MemoryClock()
        self.cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=self.clock)
        self.cache.start()
        self.serve(record_of(DATA), DATA)
        self.rules = FetchRules(retries=0)
        self.parts = parts

    def serve(self, record, data):
        self.images = CountingImages(images={IMAGE: (record, data)})

    def fetch(self, watch=lambda *report: None, disk=disk_size, **parts):
        self.cache.ledger = SpaceLedger(directory=self.cache.directory, clock=self.clock, disk_size=disk)
        fetcher = Fetcher(images=self.images, clock=self.clock, rules=self.rules, **(self.parts | parts))
        self.cache.ensure(IMAGE, lambda staging: fetcher.fetch(ImageOrder(IMAGE), staging, watch))
        assert self.cache.path_of(IMAGE).read_bytes() == self.images._images[IMAGE][1]
        entry = self.cache.path_of(IMAGE).name
        assert self.left() == [entry, record_name(entry)]

    def pause(self, reason=StopReason.PAUSED, at=HALF, keeps_data=True):
        def watch(phase, bytes_done, bytes_total):
            if bytes_done >= at:
                raise Stopped("Caching", reason, keeps_data)

        with pytest.raises(Stopped):
            self.fetch(watch)
        self.images.until = 4 * SIZE

    @property
    def kept_bytes(self):
        return self.cache.kept.bytes_of(IMAGE)

    def left(self):
        return sorted(path.name for path in self.cache.directory.iterdir())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_every_byte_that_was_received_is_kept_and_none_is_sent_again(world):
    world.pause()
    assert world.kept_bytes == HALF
    assert len(world.left()) == 2

    world.fetch()

    assert world.images.sent_bytes == SIZE


def test_it_may_be_paused_again_and_again_also_while_it_reads_what_is_kept(world):
    world.pause()
    for until in (HALF + 5, HALF + 5, HALF + BLOCK_BYTES, SIZE):
        world.images.until = until
        world.pause(at=min(until, world.kept_bytes))
        assert HALF <= world.kept_bytes <= until

    world.fetch()

    assert world.images.sent_bytes == SIZE


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
    assert world.images.sent_bytes == SIZE


def test_an_interrupt_of_a_command_that_goes_on_with_it_loses_nothing(world):
    def interrupt(phase, bytes_done, bytes_total):
        raise KeyboardInterrupt

    world.pause()

    with pytest.raises(KeyboardInterrupt):
        world.fetch(interrupt)

    world.fetch()
    assert world.images.sent_bytes == SIZE


def test_an_image_service_that_is_down_when_it_goes_on_loses_nothing(world):
    world.pause()
    world.images.refuses = True

    with pytest.raises(ImageServiceUnavailable):
        world.fetch()

    world.images.refuses = False
    world.fetch()
    assert world.images.sent_bytes == SIZE


def test_a_full_disk_when_it_goes_on_loses_this_download_alone(world):
    def full(*call):
        raise OSError(errno.ENOSPC, "no space left on device")

    world.pause()

    with pytest.raises(NotEnoughSpace):
        world.fetch(write_at=full)

    assert world.left() == []
    world.fetch()


def test_only_the_space_for_the_rest_is_needed(world):
    world.pause()

    with pytest.raises(NotEnoughSpace):
        world.fetch(disk=disk_with(SIZE - HALF - 1))
    assert world.kept_bytes == HALF  # which is not lost by the refusal

    world.fetch(disk=disk_with(SIZE - HALF))
    assert world.images.sent_bytes == SIZE


def test_another_image_in_the_record_is_fetched_from_its_start(world):
    world.pause()
    data = DATA[::-1]
    world.serve(record_of(data), data)
    world.images.until = 4 * SIZE

    world.fetch()

    assert world.images.sent_bytes == SIZE


def test_an_image_that_cannot_be_verified_is_not_kept(world):
    world.serve(record_of(DATA, digest=None), DATA)

    world.pause()

    assert world.left() == []


def test_what_has_become_damaged_is_fetched_from_the_start_and_no_attempt_is_lost(world):
    world.rules = FetchRules(retries=0, refetches=0)
    world.pause()
    (data,) = (path for path in world.cache.directory.iterdir() if path.name.endswith("data"))
    with data.open("r+b") as file:
        file.write(b"damage")

    world.fetch()

    assert world.images.sent_bytes == HALF + (SIZE - HALF) + SIZE


def test_progress_goes_on_where_it_ended(world):
    reports = []
    world.pause()

    world.fetch(lambda phase, *count: reports.append((phase, *count)))

    downloading = [done for phase, done, _ in reports if phase is Phase.DOWNLOADING]
    assert min(downloading) >= HALF


def test_zeros_are_holes_also_after_a_pause(tmp_path):
    world = World(tmp_path)
    data = bytes(SIZE)
    world.serve(record_of(data, digest=sha512(data)), data)
    world.pause()
    world.clock.advance(timedelta(hours=1))

    world.fetch()

    assert world.cache.path_of(IMAGE).stat().st_blocks * 512 < BLOCK_BYTES
