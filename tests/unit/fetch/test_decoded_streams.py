"""Images that are decoded while they arrive, in whole fetches: what it costs, what is left, when qemu-img follows."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from dataclasses import replace
from functools import cache

import pytest

from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.errors import ConversionFailed, DigestMismatch, NotEnoughSpace, PrecacheError, Stopped
from precache.core.jobs import Phase
from precache.fetch.fetch_rules import FetchRules
from tests.disk_images.making import put
from tests.unit.fetch.test_final_parts import Parts
from tests.unit.fetch.throttled import DISK
from tests.unit.fetch.world import IMAGE, disk_with, record_of, sha512

MIB = 1 << 20
RULES = FetchRules(refetches=0)
OVERLAP = "qemu-img (clusters or tables that overlap)"


def entries_at(data):
    """Return the offset of the first table of a disk's clusters that has two entries for data."""
    entries, l1_offset = struct.unpack_from(">I", data, 36)[0], struct.unpack_from(">Q", data, 40)[0]
    for entry in struct.unpack_from(f">{entries}Q", data, l1_offset):
        return entry & 0x00FFFFFFFFFFFE00
    raise AssertionError("the disk has no table")


def with_one_cluster_twice(data):
    """Return the image with one cluster of the file at two places of the disk, which qemu reads as it is told."""
    table = entries_at(data)
    entries = [each for each in range(96) if struct.unpack_from(">Q", data, table + 8 * each)[0]]
    first = struct.unpack_from(">Q", data, table + 8 * entries[0])[0]
    made = bytearray(data)
    struct.pack_into(">Q", made, table + 8 * entries[-1], first)
    return bytes(made)


def as_qemu_img_reads(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", tmp_path / "image", tmp_path / "disk"]
    subprocess.run(command, check=True, capture_output=True)
    return (tmp_path / "disk").read_bytes()


KINDS = {"plain": [], "compressed": ["-c"], "late tables": ["-o", "cluster_size=4096"]}
"""Options of qemu-img. Late tables: the first one is at the end, and what comes before it waits in the side file."""


@pytest.fixture(scope="module")
def image_of(tmp_path_factory):
    """Return a function that returns an image of 10 MiB of data on a disk of 20 MiB, of one of the kinds."""
    directory = tmp_path_factory.mktemp("kinds")
    (directory / "disk").write_bytes(DISK)

    @cache
    def make(kind):
        image = directory / kind
        command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *KINDS[kind], directory / "disk", image]
        subprocess.run(command, check=True, capture_output=True)
        if kind == "late tables":
            subprocess.run(["qemu-img", "resize", "-f", "qcow2", image, "+2M"], check=True, capture_output=True)
        return image.read_bytes()

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_requested_once_and_no_file_has_its_bytes(world, image_of, tmp_path, kind):
    data, seen = image_of(kind), set()

    def watch(phase, bytes_done, bytes_total):
        seen.update(path.name.rpartition("-")[2] for path in world.cache.iterdir())

    path = world.fetch(data, "qcow2", watch=watch)

    assert path.read_bytes() == as_qemu_img_reads(tmp_path, data)
    assert world.images.requests == [(IMAGE, 0)]
    assert world.decoded_by == "stream"
    assert seen <= {"raw", "side", "promise"}
    assert world.litter() == [path.name]


def test_an_image_that_only_qemu_img_reads_is_fetched_once_more_whatever_the_refetches(world, make_image, tmp_path):
    data, parts = with_one_cluster_twice(make_image("qcow2")), Parts()

    path = world.fetch(data, "qcow2", rules=RULES, final_parts=parts)

    assert path.read_bytes() == as_qemu_img_reads(tmp_path, data) == parts.content
    assert world.images.requests == [(IMAGE, 0), (IMAGE, 0)]
    assert world.bytes_from.image_service == 2 * len(data)
    assert world.decoded_by == OVERLAP
    assert len(parts.void) == 1
    assert world.litter() == [path.name]


class StallingOnce:
    """An image service whose first stream ends only when it is closed: the reader declines before the digest."""

    def __init__(self, images, stalling):
        self._images, self._next, self.opens = images, [stalling], 0

    def show(self, image):
        return self._images.show(image)

    def open(self, image, offset_bytes=0, *, stop=None):
        self.opens += 1
        source = self._next.pop() if self._next else self._images
        return source.open(image, offset_bytes, stop=stop)


@pytest.mark.parametrize(("refetches", "opens"), [(0, 2), (1, 2), (2, 3)])
def test_damage_that_only_qemu_img_reads_is_fetched_again_as_often_as_other_damage(world, image_of, refetches, opens):
    plain = image_of("plain")
    data = bytes(put(plain, entries_at(plain), ">Q", 1 << 63 | 0x10200))  # in the middle of a cluster
    record = record_of(data, "qcow2", digest=sha512(plain))
    stalling = MemoryImages(images={IMAGE: (record, data)}, faults={IMAGE: ImageFaults(stalls_at=2 * MIB)})
    services = []

    def wrap(images):
        services.append(StallingOnce(images, stalling))
        return services[0]

    with pytest.raises(DigestMismatch):
        world.fetch(data, record=record, rules=replace(RULES, refetches=refetches), wrap=wrap)

    assert services[0].opens == opens
    assert world.litter() == []


def test_an_image_whose_header_only_qemu_img_understands_is_requested_once(world, make_image, disk_bytes, caplog):
    data = bytearray(make_image("qcow2"))
    struct.pack_into(">Q", data, 24, len(disk_bytes) - 100)

    world.fetch(bytes(data), "qcow2", rules=RULES)

    assert world.images.requests == [(IMAGE, 0)]
    assert world.decoded_by.startswith("qemu-img (")


def test_the_space_of_a_download_is_needed_only_when_qemu_img_reads_it(world, make_image, disk_bytes):
    data = with_one_cluster_twice(make_image("qcow2"))
    record = record_of(data, "qcow2", virtual_size_bytes=len(disk_bytes))

    with pytest.raises(NotEnoughSpace) as refusal:
        world.fetch(data, record=record, disk=disk_with(len(disk_bytes) + len(data) - 1))

    assert refusal.value.needed_bytes == len(disk_bytes) + len(data)
    assert world.images.requests == [(IMAGE, 0)]
    assert world.litter() == []
    assert world.fetch(data, record=record, disk=disk_with(len(disk_bytes) + len(data)))


def test_what_waits_for_its_place_needs_space_too(world, image_of):
    size = len(DISK) + 2 * MIB

    with pytest.raises(NotEnoughSpace) as refusal:
        world.fetch(image_of("late tables"), "qcow2", disk=disk_with(size))

    assert size + 2 * MIB <= refusal.value.needed_bytes <= size + 4 * MIB
    assert world.litter() == []


class DecodingWatch:
    """The ports `Watcher` and `DecodingWatcher`; stores what has decoded the image."""

    decoded_by = ""

    def __call__(self, *_report):
        pass

    def note_decoder(self, decoded_by):
        self.decoded_by = decoded_by


@pytest.mark.parametrize(
    ("rules", "change", "decoded_by"),
    [
        (RULES, lambda data: data[: 3 * MIB], "stream"),
        (replace(RULES, decode_while_streaming=False), lambda data: data[: 3 * MIB], "qemu-img"),
        (RULES, lambda data: with_one_cluster_twice(data)[: 9 * MIB], OVERLAP),
        (RULES, lambda data: b"no image" * 1000, ""),
    ],
)
def test_the_task_says_what_has_decoded_an_image_that_has_failed(world, image_of, rules, change, decoded_by):
    watch = DecodingWatch()

    with pytest.raises(PrecacheError):
        world.fetch(change(image_of("plain")), "qcow2", rules=rules, watch=watch)

    assert watch.decoded_by == decoded_by


@pytest.mark.parametrize("rules", [RULES, replace(RULES, decode_while_streaming=False)])
@pytest.mark.parametrize("is_damaged", [True, False])
def test_a_cut_image_is_reported_only_after_its_digest(world, image_of, rules, is_damaged):
    data = image_of("plain")[: 3 * MIB]
    record = record_of(data, "qcow2", **({"digest": sha512(b"other")} if is_damaged else {}))

    with pytest.raises(
        DigestMismatch if is_damaged else ConversionFailed, match="expected sha512" if is_damaged else "truncated"
    ):
        world.fetch(data, record=record, rules=rules)

    assert world.litter() == []


def test_a_disk_that_is_longer_than_a_file_may_be_is_refused_in_words(world, tmp_path):
    command = ["qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=2M", "huge", str(1 << 57)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    with pytest.raises(PrecacheError, match=r"disk of 144115188075855872 bytes, which is more|needs 128.0 PiB"):
        world.fetch((tmp_path / "huge").read_bytes(), "qcow2")

    assert world.litter() == []


class CountedWrites:
    """Writes to files, and fails at one write. fails_at: its number, from 1; None to fail at none."""

    def __init__(self, error=None, fails_at=None):
        self.count, self._error, self._fails_at = 0, error, fails_at

    def write_at(self, fd, view, offset):
        self.count += 1
        if self.count == self._fails_at:
            raise self._error
        return os.pwrite(fd, view, offset)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_becomes_full_at_any_write_is_reported_and_nothing_is_left(world, image_of, kind):
    data, whole = image_of(kind), CountedWrites()
    world.fetch(data, "qcow2", write_at=whole.write_at).unlink()

    for number in (1, whole.count // 2, whole.count):
        full = CountedWrites(OSError(errno.ENOSPC, "full"), number)
        with pytest.raises(NotEnoughSpace, match="something else took its space"):
            world.fetch(data, "qcow2", write_at=full.write_at, disk=disk_with(100 * MIB))

        assert world.litter() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_thread_that_dies_leaves_nothing(world, image_of, kind):
    with pytest.raises(MemoryError):
        world.fetch(image_of(kind), "qcow2", write_at=CountedWrites(MemoryError(), 3).write_at)

    assert world.litter() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", [Phase.DOWNLOADING, Phase.PUBLISHING])
def test_a_stop_leaves_nothing(world, image_of, kind, phase):
    data, parts = image_of(kind), Parts()

    def watch(now, bytes_done, bytes_total):
        if now is phase and bytes_done > MIB:
            raise Stopped("caching")

    faults = ImageFaults(stalls_at=len(data) - 1000) if phase is Phase.DOWNLOADING else ImageFaults()
    with pytest.raises(Stopped):
        world.fetch(data, "qcow2", watch=watch, faults=faults, final_parts=parts)

    assert world.litter() == []
    assert phase is Phase.PUBLISHING or parts.size is None or parts.end < parts.size


def test_a_result_that_is_not_sound_is_never_announced_as_complete(world, make_image, tmp_path):
    (tmp_path / "inner").write_bytes(make_image("qcow2"))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "inner", "outer"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    parts = Parts()

    with pytest.raises(PrecacheError, match="Converted to raw, but format is now qcow2"):
        world.fetch((tmp_path / "outer").read_bytes(), "qcow2", final_parts=parts)

    assert parts.end < parts.size
