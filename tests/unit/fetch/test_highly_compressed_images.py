"""An image of a few megabytes whose disk has hundreds of gigabytes of zeros: its decoding ends when it is told to."""

from __future__ import annotations

import struct
import subprocess
import time

import pytest
import zstandard

from precache.core.errors import Stopped
from precache.core.stopping import StopReason
from precache.fetch.fetch_rules import FetchRules
from tests.disk_images.making import put
from tests.unit.fetch.world import World

CLUSTER_BYTES, CLUSTERS = 2 << 20, 100_000
BEGINS_WITHIN_S, STOP_WITHIN_S = 0.3, 2.0


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A qcow2 with 200 GB of zeros, which take no space on the disk, but processor time."""
    path = tmp_path_factory.mktemp("image") / "image"
    options = f"cluster_size={CLUSTER_BYTES},compression_type=zstd"
    size = str(CLUSTERS * CLUSTER_BYTES)
    subprocess.run(["qemu-img", "create", "-f", "qcow2", "-o", options, path, size], check=True, capture_output=True)
    head = path.read_bytes()
    head += bytes(-len(head) % CLUSTER_BYTES)
    packed = zstandard.ZstdCompressor().compress(bytes(CLUSTER_BYTES))
    data_at = len(head) + CLUSTER_BYTES
    entries = [_entry(data_at + number * len(packed), len(packed)) for number in range(CLUSTERS)]
    table = struct.pack(f">{CLUSTERS}Q", *entries).ljust(CLUSTER_BYTES, b"\0")
    (l1_at,) = struct.unpack_from(">Q", head, 40)
    image = bytes(put(head, l1_at, ">Q", len(head) | 1 << 63)) + table + packed * CLUSTERS
    return image + bytes(-len(image) % 512)


def _entry(offset, length):
    return 1 << 62 | ((offset + length - 1) // 512 - offset // 512) << 49 | offset


@pytest.mark.parametrize("reason", [StopReason.CANCELLED, StopReason.PAUSED])
def test_a_decoding_that_only_takes_processor_time_ends_within_two_seconds(tmp_path, image, reason):
    world, began_at, stopped_at, decoders = World(tmp_path / "cache"), time.monotonic(), [], []

    def watch(_phase, bytes_done, _bytes_total):
        if bytes_done and time.monotonic() > began_at + BEGINS_WITHIN_S:
            stopped_at.append(time.monotonic())
            raise Stopped("Caching", reason, keeps_data=reason is StopReason.PAUSED)

    watch.note_decoder = decoders.append

    with pytest.raises(Stopped):
        world.fetch(image, "qcow2", rules=FetchRules(reserves_whole_disk=False), watch=watch)

    assert time.monotonic() - stopped_at[0] < STOP_WITHIN_S
    assert decoders == ["stream"]
    assert world.litter() == []
