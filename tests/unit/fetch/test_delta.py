"""What agrees with an older image in the cache is not requested from the image service; wrong digests cost bytes."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.bytes_from import BytesFrom
from precache.core.errors import DigestMismatch
from precache.core.images import Image, parse_image_id
from precache.core.orders import OrderOptions
from precache.core.relays import PIECE_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.imagecache.names import entry_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.staging import Staging
from tests.unit.fetch.test_final_parts import Parts
from tests.unit.fetch.world import IMAGE, record_of

OLD = parse_image_id("00000000-0000-0000-0000-00000000001d")
DIGESTS = parse_image_id("00000000-0000-0000-0000-0000000000d1")
PIECES = 64
BEFORE = (
    random.Random(1).randbytes(20 * PIECE_BYTES) + bytes(4 * PIECE_BYTES) + random.Random(2).randbytes(40 * PIECE_BYTES)
)


def changed(*indexes: int, of: bytes = BEFORE) -> bytes:
    content = bytearray(of)
    for index in indexes:
        content[index * PIECE_BYTES : (index + 1) * PIECE_BYTES] = random.Random(index).randbytes(PIECE_BYTES)
    return bytes(content)


def digests_of(content: bytes) -> bytes:
    pieces = (content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES))
    return b"".join(hashlib.sha256(piece).digest() for piece in pieces)


class Counting:
    """Counts what is requested of the image, and how often."""

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self.ranges: list[tuple[int, int]] = []
        self.opened = self.asked_for_digests = 0
        self.show = images.show

    def open(self, image, offset_bytes=0, *, stop=None):
        self.opened += 1
        return self._images.open(image, offset_bytes, stop=stop)

    def open_range(self, image, offset_bytes, length_bytes, *, stop=None):
        self.ranges.append((offset_bytes, length_bytes))
        return self._images.open_range(image, offset_bytes, length_bytes, stop=stop)

    def read_pieces(self, image, most_bytes):
        self.asked_for_digests += 1
        return self._images.read_pieces(image, most_bytes)


@pytest.fixture
def fetch(world):
    """Return a function that fetches `after` where `before` is in the cache."""

    def run(after: bytes, *, before: bytes | None = BEFORE, digests: bytes | None = None, faults=None, options=None,
            old_name="debian-12", **facts):  # fmt: skip
        if before is not None:
            old = world.cache / entry_name(OLD)
            record = EntryRecord(image=OLD, image_name=old_name, format="raw")
            EntryRecords(directory=world.cache, clock=MemoryClock()).describe(record, Staging(world.cache, old.name))
            old.write_bytes(before)
        image = record_of(after, **({"pieces": DIGESTS} | facts))
        listed = Image(DIGESTS, "digests", "active", "raw", 1)
        stored = {IMAGE: (image, after), DIGESTS: (listed, digests_of(after) if digests is None else digests)}

        def wrap(_images):
            world.counted = Counting(MemoryImages(images=stored, faults={IMAGE: faults} if faults else {}))
            return world.counted

        return world.fetch(after, record=image, wrap=wrap, options=options or OrderOptions(), **world.extra)

    world.extra = {}
    return run


@pytest.mark.parametrize(
    "indexes",
    [(), (3, 17, 40), (40, 41, 42), (0,), (PIECES - 1,), (19, 24), (21,), range(PIECES)],
    ids=["none", "scattered", "clustered", "first", "last", "beside zeros", "in zeros", "all"],
)
def test_only_pieces_that_differ_are_requested(fetch, world, indexes):
    after = changed(*indexes)

    path = fetch(after)

    assert path.read_bytes() == after
    moved = len(indexes) * PIECE_BYTES
    zeros = sum(after[start : start + PIECE_BYTES] == bytes(PIECE_BYTES) for start in range(0, len(after), PIECE_BYTES))
    assert world.bytes_from == BytesFrom(
        image_service=moved + 32 * PIECES, cache=len(after) - moved - zeros * PIECE_BYTES
    )
    assert sum(length for _, length in world.counted.ranges) == moved
    assert world.counted.opened == 0
    assert (world.cache / entry_name(OLD)).read_bytes() == BEFORE


@pytest.mark.parametrize("change_bytes", [-3 * PIECE_BYTES, -1000, 1000, PIECE_BYTES, 3 * PIECE_BYTES + 1])
def test_an_image_may_have_another_size(fetch, world, change_bytes):
    after = (BEFORE + random.Random(3).randbytes(4 * PIECE_BYTES))[: len(BEFORE) + change_bytes]

    path = fetch(after)

    assert path.read_bytes() == after
    tail = len(after) - len(after[: len(BEFORE)]) // PIECE_BYTES * PIECE_BYTES
    assert sum(length for _, length in world.counted.ranges) == tail


def test_wrong_digests_cost_a_fetch_of_the_whole_and_never_a_wrong_byte(fetch, world):
    after, parts = changed(3, 50), Parts()
    world.extra = {"rules": FetchRules(refetches=0), "final_parts": parts}

    path = fetch(after, digests=digests_of(BEFORE))

    assert path.read_bytes() == after == parts.content
    assert len(parts.void) == 1
    assert world.counted.opened == 1
    assert world.bytes_from.image_service == len(after) + 32 * PIECES


def test_an_image_that_is_damaged_at_the_service_is_refused_as_without_a_base(fetch, world):
    world.extra = {"rules": FetchRules(refetches=0)}

    with pytest.raises(DigestMismatch):
        fetch(changed(3), digest=record_of(b"other").digest)

    assert not (world.cache / entry_name(IMAGE)).exists()


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        ({"digests": digests_of(BEFORE)[:-1]}, 1),
        ({"digests": b"\0" * 32 * (PIECES + 1)}, 1),
        ({"digests": b""}, 1),
        ({"pieces": "no-id"}, 1),
        ({"pieces": "ffffffff-0000-4000-8000-00000000dead"}, 1),
        ({"pieces": ""}, 0),
        ({"before": None}, 0),
        ({"old_name": "ubuntu"}, 0),
        ({"digest": None}, 0),
    ],
    ids=["short", "long", "empty", "no place", "no such image", "no property", "no base", "other lineage", "no hash"],
)
def test_without_base_or_digests_the_whole_image_is_fetched(fetch, world, case, asked):
    after = changed(3)

    path = fetch(after, **case)

    assert path.read_bytes() == after
    assert (world.counted.opened, world.counted.ranges, world.counted.asked_for_digests) == (1, [], asked)
    assert world.bytes_from == BytesFrom(image_service=len(after))


def test_the_order_may_name_the_base(fetch, world):
    path = fetch(changed(3), old_name="other", options=OrderOptions(base=OLD))

    assert path.read_bytes() == changed(3)
    assert world.counted.ranges == [(3 * PIECE_BYTES, PIECE_BYTES)]


@pytest.mark.parametrize(
    "faults",
    [
        ImageFaults(has_ranges=False),
        ImageFaults(breaks_at={30 * PIECE_BYTES, 31 * PIECE_BYTES + 77}),
        ImageFaults(longest_read=1000),
    ],
    ids=["no ranges", "breaks", "short reads"],
)
def test_faults_of_the_service_change_no_byte(fetch, world, faults):
    after = changed(3, 30, 31, 32)

    assert fetch(after, faults=faults).read_bytes() == after


def test_bytes_of_the_cache_do_not_count_for_the_rate(fetch, world):
    began = world.clock.now()

    fetch(changed(3), options=OrderOptions(rate_limit_bytes_per_s=PIECE_BYTES))

    assert (world.clock.now() - began).total_seconds() < 3  # the whole image would take a minute


def test_a_conversion_has_no_base(fetch, world, make_image):
    image = make_image("qcow2")

    path = fetch(image, disk_format="qcow2")

    assert path.stat().st_size == 6 << 20
    assert world.counted.asked_for_digests == 0


def test_the_base_is_closed(fetch, world):
    fetch(changed(3))

    opened = [Path(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert [path.readlink() for path in opened if path.exists() and path.readlink().is_relative_to(world.cache)] == []
