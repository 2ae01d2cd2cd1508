"""What a fetch announces as final: exactly the bytes of the entry, in order, while the image still arrives."""

import random
import subprocess
import threading

import pytest

from precache.adapters.images_memory import ImageFaults
from precache.core.bytes_from import BytesFrom
from precache.core.errors import DigestMismatch
from precache.fetch.fetch_rules import FetchRules
from precache.rules.conversion import LARGEST_ANNOUNCED_BYTES, SMALLEST_ANNOUNCED_BYTES, announced_part_size
from tests.unit.fetch.world import record_of

MIB = 1 << 20
DISK_BYTES = 20 * MIB + 3 * 512
PATIENCE_S = 20.0

KINDS = {
    "raw": ("raw", [], True),
    "qcow2": ("qcow2", [], True),
    "compressed": ("qcow2", ["-c"], True),
    "kept": ("qcow2", [], False),
    "unknown size": ("raw", [], True),
}


@pytest.fixture(scope="module")
def disk() -> bytes:
    """A disk of which some is data, with holes, one of them at the end."""
    content, rng = bytearray(DISK_BYTES), random.Random(5)
    for start in (0, 1, 2, 7, 8, 9, 10, 12, 13, 15):
        content[start * MIB + 512 : (start + 1) * MIB] = rng.randbytes(MIB - 512)
    return bytes(content)


@pytest.fixture(scope="module")
def image_of(disk, tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    (directory / "disk").write_bytes(disk)

    def image(disk_format, options):
        target = directory / "image"
        command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, *options, directory / "disk", target]
        subprocess.run(command, check=True, capture_output=True)
        return target.read_bytes()

    return image


class Parts:
    """Remembers what was announced, as it was in the file at that time. void: what was announced before a restart."""

    def __init__(self):
        self.size, self.end, self.content, self.void = None, 0, b"", []
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
        if end:
            self.is_news.set()

    def restarted(self):
        self.void.append(self.content)
        self.size, self.end, self.content = None, 0, b""


class ThrottledImages:
    """Holds the end of the image back until something was announced; notes if that was in vain."""

    def __init__(self, images, parts, held_from, damaged_at=None):
        """damaged_at: the byte at this offset is wrong in the first stream."""
        self._images, self._parts, self._held_from = images, parts, held_from
        self.damaged_at = damaged_at
        self.was_news = True

    def show(self, image):
        return self._images.show(image)

    def open(self, image, offset_bytes=0, *, stop=None):
        return _ThrottledStream(self, self._images.open(image, offset_bytes, stop=stop), offset_bytes)

    def wait(self, offset):
        if offset >= self._held_from:
            self.was_news = self._parts.is_news.wait(PATIENCE_S) and self.was_news


class _ThrottledStream:
    def __init__(self, images, stream, offset):
        self._images, self._stream, self._offset = images, stream, offset
        self.remaining_bytes, self.has_marked_end, self.close = stream.remaining_bytes, True, stream.close

    def readinto(self, buffer):
        self._images.wait(self._offset)
        count = self._stream.readinto(buffer[: MIB // 4])
        damaged_at = self._images.damaged_at
        if damaged_at is not None and self._offset <= damaged_at < self._offset + count:
            buffer[damaged_at - self._offset] ^= 1
            self._images.damaged_at = None
        self._offset += count
        return count


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_announced_while_the_image_arrives_and_are_those_of_the_entry(world, disk, image_of, kind):
    disk_format, options, forces_raw = KINDS[kind]
    data, parts, throttled = image_of(disk_format, options), Parts(), []
    record = record_of(data, disk_format, **({"size_bytes": None} if kind == "unknown size" else {}))
    held_from = len(data) - MIB if record.size_bytes else len(data) + 1  # without a size nothing can be announced

    def wrap(images):
        throttled.append(ThrottledImages(images, parts, held_from))
        return throttled[0]

    path = world.fetch(
        data,
        disk_format,
        record=record,
        wrap=wrap,
        rules=FetchRules(force_raw_images=forces_raw),
        final_parts=parts,
    )

    assert throttled[0].was_news
    assert parts.content == path.read_bytes() == (data if kind == "kept" else disk)
    assert path.stat().st_blocks * 512 <= 12 * MIB
    assert world.bytes_from == BytesFrom(image_service=len(data))


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_what_was_announced_of_damaged_data_is_void(world, disk, image_of, kind):
    data, parts = image_of(*KINDS[kind][:2]), Parts()
    where = data.index(disk[2 * MIB + 4096 : 2 * MIB + 8192])

    path = world.fetch(
        data, kind, wrap=lambda images: ThrottledImages(images, parts, len(data) - MIB, where), final_parts=parts
    )

    assert [void == disk[: len(void)] for void in parts.void] == [False]
    assert parts.content == path.read_bytes() == disk
    assert world.bytes_from.image_service == 2 * len(data)


def test_a_file_that_is_never_sound_is_never_complete(world, disk):
    parts = Parts()

    with pytest.raises(DigestMismatch):
        world.fetch(disk, "raw", faults=ImageFaults(damaged_reads=9), final_parts=parts)

    assert parts.end < DISK_BYTES


GIB = 1 << 30


@pytest.mark.parametrize(
    ("download_bytes", "previous_bytes", "written_bytes", "expected_bytes"),
    [
        (100 * MIB, 0, 0, 4 * MIB),
        (2 * GIB, 0, 0, 21 * MIB),
        (2 * GIB, 21 * MIB, 21 * MIB, 21 * MIB),
        (2 * GIB, 21 * MIB, 0, 42 * MIB),
        (2 * GIB, GIB, 0, LARGEST_ANNOUNCED_BYTES),
        (2 * GIB, GIB, GIB // 2, 42 * MIB),
        (2 * GIB, GIB, GIB, 21 * MIB),
        (2 * GIB, 21 * MIB, 84 * MIB, 21 * MIB),
        (1, 5 * MIB + 512, 3 * MIB, 7 * MIB),
    ],
)
def test_an_announced_part_has_one_in_a_hundred_of_the_data(
    download_bytes, previous_bytes, written_bytes, expected_bytes
):
    size = announced_part_size(download_bytes, previous_bytes, written_bytes)

    assert size == expected_bytes
    assert size >= SMALLEST_ANNOUNCED_BYTES
    assert size % MIB == 0
