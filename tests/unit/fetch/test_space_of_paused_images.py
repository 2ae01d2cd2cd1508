"""The space that is planned for an image of which a part is kept: exactly what its fetch needs."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from precache.core.cache_contents import ImageSize
from precache.core.errors import NotEnoughSpace
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.imagecache.space.disk_usage import allocated_by
from tests.unit.fetch.test_paused_downloads import Way, World, convert
from tests.unit.fetch.world import IMAGE, disk_with

DISK = os.urandom(3 * BLOCK_BYTES) + 3 * BLOCK_BYTES * b"1"
WHOLE = FetchRules(retries=0)
UNRESERVED = replace(WHOLE, reserves_whole_disk=False)
BY_QEMU_IMG = replace(WHOLE, decode_while_streaming=False)
AT = 2 * BLOCK_BYTES + 4711


@pytest.mark.parametrize(
    ("options", "disk_format", "at", "before", "after"),
    [
        pytest.param(["-c"], "qcow2", AT, WHOLE, WHOLE, id="decoding"),
        pytest.param(["-c"], "qcow2", -BLOCK_BYTES - 1, UNRESERVED, UNRESERVED, id="most of a disk that has no space"),
        pytest.param(["-o", "subformat=streamOptimized"], "vmdk", AT, WHOLE, WHOLE, id="decoding of a VMDK"),
        pytest.param(["-c"], "qcow2", AT, WHOLE, BY_QEMU_IMG, id="decoding that is of no use any more"),
        pytest.param(["-c"], "qcow2", AT, BY_QEMU_IMG, WHOLE, id="download"),
        pytest.param(["-c"], "qcow2", AT, BY_QEMU_IMG, UNRESERVED, id="download for a disk that has no space"),
        pytest.param(["-c"], "qcow2", 4711, WHOLE, WHOLE, id="before the way was chosen"),
    ],
)
def test_a_fetch_needs_what_was_planned_and_not_a_byte_less(tmp_path, options, disk_format, at, before, after):
    world = World(tmp_path, Way(disk_format, convert(DISK, tmp_path, *options, disk_format=disk_format), DISK))
    world.images.until = at if at > 0 else world.size + at
    world.rules = before
    world.pause(at=world.images.until)
    world.rules = after
    size = ImageSize(IMAGE, world.size, len(DISK), disk_format)
    world.serve(world.way, virtual_size_bytes=len(DISK))
    removed_bytes = allocated_by(*world.kept_files("-data")) if after is BY_QEMU_IMG else 0

    fetcher = Fetcher(images=world.images, clock=world.clock, rules=after)
    needed = fetcher.space_needed([size], world.cache.kept)

    free = needed + removed_bytes
    if free:
        with pytest.raises(NotEnoughSpace):
            world.fetch(disk=disk_with(free - 1))
    world.images.until = 4 * world.size
    world.fetch(disk=disk_with(free))
