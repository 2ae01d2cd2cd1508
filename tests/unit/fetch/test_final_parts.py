"""What a fetch announces as final: exactly the bytes of the entry, in order, while the image still arrives."""

import threading
from dataclasses import replace

import pytest

from precache.adapters.images_memory import ImageFaults
from precache.core.bytes_from import BytesFrom
from precache.core.errors import DigestMismatch
from precache.rules.conversion import LARGEST_ANNOUNCED_BYTES, SMALLEST_ANNOUNCED_BYTES, announced_part_size
from tests.unit.fetch.throttled import DISK, KINDS, MIB, ThrottledImages, make_image
from tests.unit.fetch.world import BY_QEMU_IMG, BY_STREAM, record_of


@pytest.fixture(scope="module")
def image_of(tmp_path_factory):
    return lambda kind: make_image(tmp_path_factory.mktemp("images"), kind)


class Parts:
    """Remembers what was announced, as it was in the file at that time. void: what was announced before a restart."""

    def __init__(self):
        self.size, self.end, self.content, self.void = None, 0, b"", []
        self.ends = []
        self.is_news = threading.Event()

    def began(self, path, size_bytes):
        assert self.size is None
        self.path, self.size = path, size_bytes

    def is_final_up_to(self, end):
        assert self.end <= end <= self.size
        with self.path.open("rb") as file:
            file.seek(self.end)
            self.content += file.read(end - self.end)
        self.end = end
        self.ends.append(end)
        if end:
            self.is_news.set()

    def restarted(self):
        self.void.append(self.content)
        self.size, self.end, self.content = None, 0, b""


@pytest.mark.parametrize(("kind", "rules"), [*((kind, BY_STREAM) for kind in KINDS), ("qcow2", BY_QEMU_IMG)])
def test_parts_are_announced_while_the_image_arrives_and_are_those_of_the_entry(world, image_of, kind, rules):
    disk_format, _, forces_raw = KINDS[kind]
    data, parts, throttled = image_of(kind), Parts(), []
    record = record_of(data, disk_format, **({"size_bytes": None} if kind == "unknown size" else {}))
    held_from = len(data) - MIB if record.size_bytes else len(data) + 1  # without a size nothing can be announced

    def wrap(images):
        throttled.append(ThrottledImages(images, parts.is_news, held_from))
        return throttled[0]

    path = world.fetch(
        data,
        disk_format,
        record=record,
        wrap=wrap,
        rules=replace(rules, force_raw_images=forces_raw),
        final_parts=parts,
    )

    assert throttled[0].was_news
    assert parts.content == path.read_bytes() == (data if kind == "kept" else DISK)
    assert path.stat().st_blocks * 512 <= 12 * MIB
    assert world.bytes_from == BytesFrom(image_service=len(data))


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_what_was_announced_of_damaged_data_is_void(world, image_of, kind):
    data, parts = image_of(kind), Parts()
    where = data.index(DISK[MIB + 4096 : MIB + 8192])

    path = world.fetch(
        data,
        kind,
        wrap=lambda images: ThrottledImages(images, parts.is_news, len(data) - MIB, where),
        final_parts=parts,
    )

    assert [void == DISK[: len(void)] for void in parts.void] == [False]
    assert parts.content == path.read_bytes() == DISK
    assert world.bytes_from.image_service == 2 * len(data)


def test_parts_of_a_conversion_become_larger_only_where_there_is_little_data(world, image_of):
    parts = Parts()

    world.fetch(image_of("qcow2"), "qcow2", rules=BY_QEMU_IMG, final_parts=parts)

    # 2 MiB of data, then 3 MiB with 1 of data, then 6 with 4, then 3 with 2 each.
    assert parts.ends == [2 * MIB, 5 * MIB, 11 * MIB, 14 * MIB, 17 * MIB, len(DISK)]


def test_a_file_that_is_never_sound_is_never_complete(world):
    parts = Parts()

    with pytest.raises(DigestMismatch):
        world.fetch(DISK, "raw", faults=ImageFaults(damaged_reads=9), final_parts=parts)

    assert parts.end < len(DISK)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("download_bytes", "previous_bytes", "written_bytes", "expected_bytes"),
    [
        (100 * MIB, 0, 0, 2 * MIB),
        (2 * GIB, 0, 0, 21 * MIB),
        (2 * GIB, 21 * MIB, 21 * MIB, 21 * MIB),
        (2 * GIB, 21 * MIB, 0, 42 * MIB),
        (2 * GIB, GIB, 0, LARGEST_ANNOUNCED_BYTES),
        (2 * GIB, GIB, GIB // 2, 42 * MIB),
        (2 * GIB, GIB, GIB, 21 * MIB),
        (2 * GIB, 21 * MIB, 84 * MIB, 21 * MIB),
        (1, 5 * MIB + 512, 3 * MIB, 4 * MIB),
    ],
)
def test_an_announced_part_has_one_in_a_hundred_of_the_data(
    download_bytes, previous_bytes, written_bytes, expected_bytes
):
    size = announced_part_size(download_bytes, previous_bytes, written_bytes)

    assert size == expected_bytes
    assert size >= SMALLEST_ANNOUNCED_BYTES
    assert size % MIB == 0
