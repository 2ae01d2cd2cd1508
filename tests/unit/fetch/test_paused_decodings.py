"""A qcow2 whose decoding was paused: where it may be cut, and when it begins from its start."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict

import pytest

from precache.core.errors import DigestMismatch, UnsafeImage
from precache.core.jobs import Phase
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.imagecache.kept_record import FileState
from tests.disk_images.making import put, vmware_stream
from tests.unit.fetch.test_final_parts import Parts
from tests.unit.fetch.test_paused_downloads import Way, World, convert
from tests.unit.fetch.world import IMAGE, sha512

DISK = b"".join(os.urandom(40_000) + bytes(25_536) for _ in range(96)) + bytes(BLOCK_BYTES)
KINDS = {
    "plain": ("qcow2", []),
    "compressed": ("qcow2", ["-c"]),
    "zstd": ("qcow2", ["-c", "-o", "compression_type=zstd,cluster_size=4k"]),
    "vmdk": ("vmdk", ["-o", "subformat=streamOptimized"]),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return {
        kind: convert(DISK, tmp_path_factory.mktemp("image"), *options, disk_format=disk_format)
        for kind, (disk_format, options) in KINDS.items()
    }


@pytest.fixture
def world(tmp_path, images):
    return World(tmp_path, Way("qcow2", images["compressed"], DISK, "stream"))


def writes_result(fd):
    return os.readlink(f"/proc/self/fd/{fd}").endswith("-raw")


def pause(world, at=2 * BLOCK_BYTES + 4711):
    world.images.until = at
    world.pause(at=at)
    assert world.kept_bytes == at
    world.images.sent_bytes = 0
    return world.size - at


PAUSES = [60, 70_000, BLOCK_BYTES - 1, BLOCK_BYTES + 1, BLOCK_BYTES + 2, 3 * BLOCK_BYTES - 777, -1, 0]
"""In the header, before the way is chosen, and in clusters; from the end: before and after the last byte."""


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_it_is_paused_only_the_rest_is_requested(tmp_path, images, kind):
    world = World(tmp_path, Way(KINDS[kind][0], images[kind], DISK))
    for at in PAUSES:
        world.images.until = at = at if at > 0 else world.size + at
        world.pause(at=at)
        assert world.kept_bytes == world.images.sent_bytes == at

    world.fetch()

    assert world.images.sent_bytes == world.size
    assert world.decoded_by == "stream"


def test_an_image_that_is_paused_in_its_first_block_is_inspected_when_that_has_arrived(tmp_path):
    image = bytearray(vmware_stream(DISK))
    image[32 << 10 : (32 << 10) + 6] = b"\x01CD001"  # tools may take it for an ISO image
    world = World(tmp_path, Way("vmdk", bytes(image), DISK))
    world.images.until = 20_000  # before what says so
    world.pause(at=20_000)

    with pytest.raises(UnsafeImage, match="does not match disk_format"):
        world.fetch()

    assert world.left() == []


def test_pause_before_the_entry_is_published_loses_nothing(world):
    def publishes(phase, *_):
        return phase is Phase.PUBLISHING

    world.images.until = world.size + 1
    world.pause(at=world.size, when=publishes)
    assert world.kept_bytes == world.size
    world.images.sent_bytes = 0

    world.fetch()

    assert world.images.sent_bytes == 0
    assert world.decoded_by == "stream"


def with_a_cut_table(data: bytes) -> bytes:
    """Return the qcow2 with its second table at the end, where its zeros are missing: it is complete with the image."""
    cluster = 1 << int.from_bytes(data[20:24])
    l1_at = int.from_bytes(data[40:48])
    table_at = int.from_bytes(data[l1_at : l1_at + 8]) & 0x00FF_FFFF_FFFF_FE00
    data = data.ljust(-(-len(data) // cluster) * cluster, b"\0")
    moved = put(data, l1_at, ">Q", len(data) | 1 << 63)
    return bytes(moved) + data[table_at : table_at + cluster].rstrip(b"\0")


@pytest.mark.long
def test_pause_while_a_slow_disk_gets_what_was_waiting_for_its_place_loses_nothing(tmp_path):
    disk = os.urandom(16 * BLOCK_BYTES)
    way = Way("qcow2", with_a_cut_table(convert(disk, tmp_path)), disk, "stream")

    def write_slowly(fd, view, offset):
        if writes_result(fd):
            time.sleep(0.4)
        return os.pwrite(fd, view, offset)

    world = World(tmp_path, way)
    world.images.until = world.size + 1
    began_at = time.monotonic()
    world.pause(at=world.size, when=lambda phase, _: phase is Phase.CONVERTING, write_at=write_slowly)
    took_s = time.monotonic() - began_at
    assert world.kept_bytes == world.size
    world.images.sent_bytes = 0

    world.fetch()

    assert world.images.sent_bytes == 0
    assert took_s < 4


@pytest.mark.parametrize("was_on", [True, False])
def test_switch_that_was_turned_begins_again_only_where_a_file_is_missing(world, was_on):
    world.rules = FetchRules(retries=0, decode_while_streaming=was_on)
    rest = pause(world)
    world.rules = FetchRules(retries=0, decode_while_streaming=not was_on)

    world.fetch()

    assert world.images.sent_bytes == (world.size if was_on else rest)
    assert world.decoded_by == ("qemu-img" if was_on else "qemu-img (a part of it was downloaded before)")


@pytest.mark.parametrize(
    ("field", "value"),
    [("decoder", "qcow2 of 0.0.1"), ("hash_state", "sha512;OpenSSL 0.9.8;5;00"), ("hash_state", ""), ("side", None)],
)
def test_what_another_release_has_left_is_fetched_from_the_start(world, field, value):
    pause(world)
    (path,) = world.kept_files("kept-record")
    record = json.loads(path.read_text())
    record["decoding"][field] = value
    path.write_text(json.dumps(record))

    world.fetch()

    assert world.images.sent_bytes == world.size
    assert world.decoded_by == "stream"


@pytest.mark.parametrize("name", ["kept-data", "keptside-data"])
def test_damaged_file_is_never_used(world, name):
    pause(world)
    (path,) = world.kept_files(name)
    with path.open("r+b") as file:
        file.seek(BLOCK_BYTES if name == "kept-data" else 0)
        file.write(b"damage")

    world.fetch()

    assert world.images.sent_bytes == world.size


def test_pause_after_what_was_kept_could_not_be_used_keeps_the_new_download(tmp_path, images):
    world = World(tmp_path, Way("vmdk", images["vmdk"], DISK))
    pause(world)
    (side,), (path,) = world.kept_files("keptside-data"), world.kept_files("kept-record")
    damaged = side.read_bytes().replace(b"grains 1", b"grains 1" + b"\xff" * 8, 1)  # of a disk that loses bits
    side.write_bytes(damaged)
    record = json.loads(path.read_text())
    record["decoding"]["side"] = asdict(FileState.of(side.stat()))
    path.write_text(json.dumps(record))

    pause(world, at=3 * BLOCK_BYTES)
    world.fetch()

    assert world.images.sent_bytes == world.size - 3 * BLOCK_BYTES
    assert world.decoded_by == "qemu-img (a part of it was downloaded before)"


def test_rest_that_does_not_match_is_fetched_from_the_start_and_leaves_nothing(world):
    world.rules = FetchRules(retries=0, refetches=0)
    rest = pause(world)
    damaged = world.way.data[:-9] + b"123456789"
    world.serve(Way("qcow2", damaged, DISK), digest=sha512(world.way.data))
    world.images.until = 4 * world.size

    with pytest.raises(DigestMismatch):
        world.fetch()

    assert world.images.sent_bytes == rest + world.size
    assert world.left() == []


def test_parts_are_announced_from_the_start_again(world):
    pause(world)
    world.final_parts = parts = Parts()

    world.fetch()

    assert parts.content == DISK
    assert parts.void == []
    assert parts.ends == sorted(parts.ends)
    assert world.cache.path_of(IMAGE).read_bytes() == DISK
