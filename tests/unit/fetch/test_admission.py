"""The space that a fetch was promised, seen by another fetch on the same disk while it runs and after its end."""

from __future__ import annotations

import os

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.errors import NotEnoughSpace, Stopped, TransferInterrupted
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.sizes import DiskAmount
from precache.core.stopping import StopReason
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.imagecache.cache import ImageCache
from precache.imagecache.space.disk_usage import DiskSize, allocated_by
from precache.imagecache.space.space_ledger import SpaceLedger
from tests.unit.fetch.world import IMAGE, record_of

OTHER = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
SIZE = 8 * BLOCK_BYTES
DATA = os.urandom(SIZE)
CAPACITY = 14 * BLOCK_BYTES  # one of two images fits


class World:
    """One small disk and two images."""

    def __init__(self, tmp_path):
        self.clock = MemoryClock()
        self.cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=self.clock)
        self.cache.start()
        self.cache.ledger = SpaceLedger(
            directory=self.cache.directory,
            clock=self.clock,
            reserve=DiskAmount(BLOCK_BYTES),
            disk_size=lambda _: DiskSize(
                CAPACITY, CAPACITY - allocated_by(*map(self.cache.directory.joinpath, self.files()))
            ),
        )
        self.kept_bytes = lambda: self.cache.kept.bytes_of(IMAGE)

    def fetch(self, image, watch=lambda *report: None, faults=ImageFaults(), make_room=None):  # noqa: B008
        images = MemoryImages(images={image: (record_of(DATA, id=image), DATA)}, faults={image: faults})
        fetcher = Fetcher(images=images, clock=self.clock, rules=FetchRules(retries=0))
        return self.cache.ensure(
            image, lambda staging: fetcher.fetch(ImageOrder(image), staging, watch), make_room=make_room
        )

    def promised(self):
        space = self.cache.free_space(())
        return space.promised_bytes, space.promised_images

    def files(self):
        """Return the names of all files but the records of entries."""
        return sorted(path.name for path in self.cache.directory.iterdir() if path.suffix != ".precache")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_second_image_that_would_fit_alone_is_refused_in_words_until_the_first_has_ended(world):
    refusals = []

    def watch(phase, bytes_done, bytes_total):
        if phase is Phase.DOWNLOADING and not refusals:
            with pytest.raises(NotEnoughSpace) as refusal:
                world.fetch(OTHER)
            refusals.append(refusal.value)

    assert world.fetch(IMAGE, watch)

    [refusal] = refusals
    assert refusal.may_pass
    assert refusal.space.promised_images == 1
    assert "of it promised to 1 other image" in str(refusal)
    assert world.files() == [world.cache.path_of(IMAGE).name]
    world.cache.path_of(IMAGE).unlink()
    assert world.fetch(OTHER)


ENDS = [
    (None, ImageFaults(), 0),
    (TransferInterrupted, ImageFaults(ends_at=SIZE // 2), 0),
    (Stopped("Caching", StopReason.CANCELLED), ImageFaults(stalls_at=SIZE // 2), 0),
    (Stopped("Caching", StopReason.PAUSED, keeps_data=True), ImageFaults(stalls_at=SIZE // 2), SIZE // 2),
    (KeyboardInterrupt(), ImageFaults(stalls_at=SIZE // 2), 0),
]


@pytest.mark.parametrize(("end", "faults", "kept_bytes"), ENDS)
def test_a_promise_ends_with_its_fetch_in_every_way_that_it_ends(world, end, faults, kept_bytes):
    seen = []

    def watch(phase, bytes_done, bytes_total):
        seen.append(world.promised())
        if isinstance(end, BaseException) and bytes_done >= SIZE // 2:
            raise end

    if end is None:
        world.fetch(IMAGE, watch, faults)
    else:
        with pytest.raises(end if isinstance(end, type) else type(end)):
            world.fetch(IMAGE, watch, faults)

    assert (SIZE, 1) in seen
    assert world.promised() == (0, 0)
    assert not [name for name in world.files() if name.endswith("-promise")]
    assert world.kept_bytes() == kept_bytes


def test_a_paused_download_needs_a_promise_for_its_rest_only(world):
    def pause(phase, bytes_done, bytes_total):
        if bytes_done >= SIZE // 2:
            raise Stopped("Caching", StopReason.PAUSED, keeps_data=True)

    with pytest.raises(Stopped):
        world.fetch(IMAGE, pause, ImageFaults(stalls_at=SIZE // 2))
    assert world.fetch(OTHER)
    with pytest.raises(NotEnoughSpace) as refusal:
        world.fetch(IMAGE)
    assert refusal.value.needed_bytes == SIZE // 2
    assert world.kept_bytes() == SIZE // 2

    world.cache.path_of(OTHER).unlink()
    seen = []
    assert world.fetch(IMAGE, lambda *report: seen.append(world.promised()))
    assert max(seen) == (SIZE // 2, 1)


def test_an_image_that_does_not_fit_evicts_what_it_is_told_to_evict(world):
    world.fetch(IMAGE)
    asked = []

    def make_room(missing_bytes):
        asked.append(missing_bytes)
        world.cache.path_of(IMAGE).unlink()
        return SIZE

    assert world.fetch(OTHER, make_room=make_room)
    assert asked == [SIZE + SIZE + BLOCK_BYTES - CAPACITY]
    assert world.files() == [world.cache.path_of(OTHER).name]
