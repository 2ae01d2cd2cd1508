"""The reader of streamOptimized VMDKs: the disk is qemu-img's, or the image is handed over."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable

import pytest

from precache.fetch.decoding.placements import Action, Inflate, NotStreamable, Place, Spill, Truncated
from precache.fetch.vmdk import VmdkReader
from tests.disk_images.making import DISK_BYTES, MIB, Workshop, disk, put, vmdk_with, vmware_stream

AT_END = (1 << 64) - 1
ODD_BYTES = DISK_BYTES + 1536
SEVERAL_TABLES_BYTES = 70 * MIB
CREATE_TYPE = b'createType="streamOptimized"'
FIRST_GRAIN = 128 * 512


class Decoding:
    """A disk and a side file in memory, and the reader that fills them."""

    def __init__(self, image: bytes, side: bytearray | None = None) -> None:
        self.side = bytearray(len(image) + MIB) if side is None else side
        self.reader = VmdkReader(image[:MIB], len(image), lambda offset, length: bytes(self.side[offset:][:length]))
        self.disk = bytearray(self.reader.disk_bytes)
        self.spilled_bytes = 0

    def feed(self, data: bytes, step: int = MIB) -> None:
        for at in range(0, len(data), step):
            self.execute(self.reader.feed(memoryview(data)[at : at + step]))

    def execute(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Inflate):
                assert action.disk_offset >= self.reader.placed_up_to
                cluster = zlib.decompress(action.data)
                assert len(cluster) == action.cluster_bytes
                self.disk[action.disk_offset : action.disk_offset + action.disk_bytes] = cluster[: action.disk_bytes]
            elif isinstance(action, Place):
                self.disk[action.disk_offset : action.disk_offset + len(action.data)] = action.data
            else:
                assert isinstance(action, Spill)
                self.side[action.file_offset : action.file_offset + len(action.data)] = action.data
                self.spilled_bytes += len(action.data)


def decode(image: bytes, step: int = MIB) -> Decoding:
    decoding = Decoding(image)
    decoding.feed(image, step)
    decoding.execute(decoding.reader.finish())
    return decoding


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


def of_qemu(workshop: Workshop, size: int = DISK_BYTES) -> bytes:
    return bytes(workshop.convert("vmdk", "-o", "subformat=streamOptimized", size=size))


def of_vmware(_: Workshop, size: int = DISK_BYTES) -> bytes:
    return vmware_stream(disk(size))


LAYOUTS = pytest.mark.parametrize("make", [of_qemu, of_vmware])


@LAYOUTS
@pytest.mark.parametrize("size", [DISK_BYTES, ODD_BYTES, SEVERAL_TABLES_BYTES, 1536])
def test_disk_is_the_one_that_was_packed(workshop, make, size):
    image = make(workshop, size)

    decoded = decode(image)

    assert decoded.disk == disk(size) == workshop.raw_of(image, "vmdk")
    assert decoded.reader.placed_up_to == size


@LAYOUTS
@pytest.mark.parametrize("step", [7, 511, 70_001])
def test_blocks_of_any_length_make_the_same_disk(workshop, make, step):
    assert decode(make(workshop, ODD_BYTES)[:], step).disk == disk(ODD_BYTES)


def test_tables_are_kept_and_data_is_not(workshop):
    decoded = decode(of_vmware(workshop, SEVERAL_TABLES_BYTES))

    assert FIRST_GRAIN <= decoded.spilled_bytes < FIRST_GRAIN + 20_000


@LAYOUTS
def test_after_a_pause_the_side_file_brings_the_reader_to_where_it_was(workshop, make):
    image = make(workshop, ODD_BYTES)
    chance = random.Random(13)

    for cut in (1, FIRST_GRAIN + 5, len(image) - 700, *(chance.randrange(len(image)) for _ in range(20))):
        before = Decoding(image)
        before.feed(image[:cut])
        held = before.reader.held()
        for _ in before.reader.feed(memoryview(image)[cut : cut + chance.randrange(200_000)]):
            pass  # interrupted: it has not arrived
        before.spilled_bytes = 0
        before.execute(held)
        assert before.spilled_bytes < 200 + (128 << 10) + 8 * (ODD_BYTES >> 16)
        after = Decoding(image, before.side)
        for _ in after.reader.feed(memoryview(bytes(before.side[:cut]))):
            pass  # done before the pause
        after.disk = before.disk
        after.feed(image[cut:])
        after.execute(after.reader.finish())
        assert after.disk == disk(ODD_BYTES)


def test_grains_of_zeros_in_the_tables_are_holes(workshop):
    image = of_vmware(workshop)
    (directory,) = struct.unpack_from("<I", image, len(image) - 4 * 512)
    flags = 0x30005
    for entry in range(DISK_BYTES // (64 << 10)):
        at = directory * 512 + 4 * entry
        image = put(image, at, "<I", max(struct.unpack_from("<I", image, at)[0], 1))
    image = bytes(put(put(image, 8, "<I", flags), len(image) - 1024 + 8, "<I", flags))

    assert decode(image).disk == disk() == workshop.raw_of(image, "vmdk")


@LAYOUTS
def test_cut_image_is_truncated(workshop, make):
    """The size is the one that was announced, so that it is known before."""
    image = make(workshop, ODD_BYTES)

    for kept in (len(image) // 2, FIRST_GRAIN + 9, FIRST_GRAIN - 1):
        decoding = Decoding(image)
        decoding.feed(image[:kept])
        with pytest.raises((Truncated, NotStreamable)):
            decoding.execute(decoding.reader.finish())
        with pytest.raises((Truncated, NotStreamable)):
            decode(image[:kept])


def _grain(image: bytes, number: int) -> int:
    """Return the offset of a grain in the order of the file."""
    at = FIRST_GRAIN
    for _ in range(number):
        at += 12 + struct.unpack_from("<I", image, at + 8)[0]
        at += -at % 512
    return at


def _moved(image: bytes, number: int, sector: int) -> bytes:
    return bytes(put(image, _grain(image, number), "<Q", sector))


def _descriptor(old: bytes, new: bytes):
    return lambda image: bytes(vmdk_with(bytearray(image), old, new))


_FROM_THE_START = {
    "other magic": lambda image: b"COWD" + image[4:],
    "other version": lambda image: bytes(put(image, 4, "<I", 4)),
    "not compressed": lambda image: bytes(put(image, 8, "<I", 0x20001)),
    "no markers": lambda image: bytes(put(image, 8, "<I", 0x10001)),
    "other compression": lambda image: bytes(put(image, 77, "<H", 2)),
    "empty disk": lambda image: bytes(put(image, 12, "<Q", 0)),
    "huge disk": lambda image: bytes(put(image, 12, "<Q", 1 << 40)),
    "odd grains": lambda image: bytes(put(image, 20, "<Q", 96)),
    "huge grains": lambda image: bytes(put(image, 20, "<Q", 1 << 21)),
    "descriptor elsewhere": lambda image: bytes(put(image, 28, "<Q", 2)),
    "small tables": lambda image: bytes(put(image, 44, "<I", 256)),
    "first grain in the header": lambda image: bytes(put(image, 64, "<Q", 0)),
    "first grain behind the end": lambda image: bytes(put(image, 64, "<Q", 1 << 30)),
    "other type": _descriptor(CREATE_TYPE, b'createType="monolithicSparse"'),
    "a parent": _descriptor(b"parentCID=ffffffff", b"parentCID=12345678"),
    "a parent by name": _descriptor(CREATE_TYPE, CREATE_TYPE + b'\nparentFileNameHint="a.vmdk"'),
    "a parent in a comment": _descriptor(CREATE_TYPE, CREATE_TYPE + b'\n#parentFileNameHint="a.vmdk"'),
    "two extents": _descriptor(CREATE_TYPE, CREATE_TYPE + b'\nRW 9 SPARSE "b"\nRW 9 SPARSE "c"'),
    "no identity": _descriptor(b"\nCID=", b"\nCIX="),
}

_LATER = {
    "a grain twice": lambda image: _moved(image, 1, struct.unpack_from("<Q", image, _grain(image, 0))[0]),
    "grains in another order": lambda image: _moved(image, 0, 128 * 60),
    "a grain elsewhere": lambda image: _moved(image, 0, 128),
    "a grain behind the disk": lambda image: _moved(image, 0, 128 * 4096),
    "a grain at an odd sector": lambda image: _moved(image, 0, 1),
    "a grain that is too long": lambda image: bytes(put(image, _grain(image, 0) + 8, "<I", 128 << 10)),
    "a grain that is too short": lambda image: bytes(put(image, _grain(image, 0) + 8, "<I", 7)),
    "a marker of an unknown kind": lambda image: bytes(put(image, _grain(image, 0), "<QII", 0, 0, 9)),
    "an end before the end": lambda image: bytes(put(image, _grain(image, 0), "<QII", 0, 0, 0)),
    "metadata behind the end": lambda image: bytes(put(image, _grain(image, 0), "<QII", 1 << 40, 0, 1)),
    "another entry of a table": lambda image: bytes(put(image, _table(image), "<I", 0x81)),
    "an entry removed": lambda image: bytes(put(image, _table(image), "<I", 0)),
    "a table among the grains": lambda image: bytes(put(image, _directory(image), "<I", FIRST_GRAIN // 512 + 2)),
    "no table": lambda image: bytes(put(image, _directory(image), "<I", 0)),
    "a table behind the end": lambda image: bytes(put(image, _directory(image), "<I", 0xFFFFFFF0)),
}

_AT_THE_END = {
    "another capacity at the end": lambda image: bytes(put(image, len(image) - 1024 + 12, "<Q", 4096)),
    "no directory at the end": lambda image: bytes(put(image, len(image) - 1024 + 56, "<Q", AT_END)),
    "a directory among the grains": lambda image: bytes(put(image, len(image) - 1024 + 56, "<Q", 129)),
    "no header at the end": lambda image: bytes(put(image, len(image) - 1024, "<I", 0)),
    "data behind the end": lambda image: image + b"\1".ljust(512, b"\0"),
    "no footer": lambda image: bytes(put(image, len(image) - 1536 + 12, "<I", 1)),
    "no mark of the end": lambda image: image[:-512],
    "a sector of the end lost": lambda image: image[:-1536] + image[-1024:],
}


def _directory(image: bytes) -> int:
    (sector,) = struct.unpack_from("<Q", image, 56)
    if sector == AT_END:
        (sector,) = struct.unpack_from("<Q", image, len(image) - 1024 + 56)
    return sector * 512


def _table(image: bytes) -> int:
    """Return the offset of the first entry; the first grain of the disk has data."""
    (sector,) = struct.unpack_from("<I", image, _directory(image))
    assert struct.unpack_from("<I", image, sector * 512) != (0,)
    return sector * 512


@LAYOUTS
@pytest.mark.parametrize("change", _FROM_THE_START.values(), ids=_FROM_THE_START.keys())
def test_image_that_is_not_plain_is_handed_over_at_once(workshop, make, change):
    image = make(workshop)

    with pytest.raises(NotStreamable):
        VmdkReader(change(image)[:MIB], len(image), lambda offset, length: bytes(length))


def test_directory_behind_the_first_grain_is_handed_over_at_once(workshop):
    image = put(of_qemu(workshop), 56, "<Q", 1 << 20)

    with pytest.raises(NotStreamable):
        VmdkReader(bytes(image[:MIB]), len(image), lambda offset, length: bytes(length))


def test_image_of_unknown_size_is_handed_over(workshop):
    with pytest.raises(NotStreamable, match="size"):
        VmdkReader(of_qemu(workshop)[:MIB], None, lambda offset, length: bytes(length))


@LAYOUTS
@pytest.mark.parametrize("change", _LATER.values(), ids=_LATER.keys())
def test_image_whose_grains_and_tables_disagree_is_handed_over(workshop, make, change):
    with pytest.raises(NotStreamable):
        decode(change(make(workshop)))


@pytest.mark.parametrize("change", _AT_THE_END.values(), ids=_AT_THE_END.keys())
def test_image_with_another_end_is_handed_over(workshop, change):
    with pytest.raises((NotStreamable, Truncated)):
        decode(change(of_vmware(workshop)))


@pytest.mark.parametrize("packed", [zlib.compress(b"x" * 1535), zlib.compress(b"x" * 65537), b"\x78\x9c" + bytes(20)])
def test_last_grain_of_another_length_is_handed_over(workshop, packed):
    image = of_vmware(workshop, 1536)
    changed = bytearray(put(image, FIRST_GRAIN + 8, "<I", len(packed)))
    changed[FIRST_GRAIN + 12 : FIRST_GRAIN + 12 + len(packed)] = packed

    with pytest.raises(NotStreamable):
        decode(bytes(changed))


@pytest.mark.long
@LAYOUTS
def test_changed_image_is_read_as_qemu_does_or_handed_over(workshop, make):
    image, chance = make(workshop, ODD_BYTES), random.Random(14)
    interesting = [*range(14), *range(20, 100), *range(512, 900), *range(len(image) - 2600, len(image))]
    interesting += [_grain(image, number) + at for number in range(5) for at in range(20)]
    interesting += [_table(image) + at for at in range(400)]
    read = 0

    for _ in range(800):
        changed = bytearray(image)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.choice(interesting)] = chance.choice([0, 1, 2, 0x80, 0xFF, chance.randrange(256)])
        try:
            found = decode(bytes(changed))
        except (NotStreamable, Truncated, zlib.error, AssertionError):
            continue
        read += 1
        assert found.disk == workshop.raw_of(changed, "vmdk")

    assert read > 100
