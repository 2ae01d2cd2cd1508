"""Damaged and hostile files: decoded to what qemu-img makes of them, or left to it. Nothing else may happen."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.fetch.decoding.placements import NotStreamable, Truncated
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import MOST_STORED_BYTES, CheckedDecoding, Decoded, decode_checked
from tests.disk_images.making import put
from tests.disk_images.qcow2_layouts import converted
from tests.disk_images.qcow2_mutants import Change, changed
from tests.disk_images.qcow2_reference import Reference, disk_of
from tests.disk_images.qcow2_writer import Qcow2Writer, Shape
from tests.unit.fetch.qcow2.small_images import foreign_images, small_images

MIB = 1 << 20

CHANGES = st.lists(
    st.builds(Change, st.integers(0, 63), st.integers(0, 1 << 24), st.integers(0, 1 << 40)), min_size=1, max_size=5
)


def streamed(image: bytes, block_bytes: int = MIB) -> Decoded | None:
    """Return what the reader made of the image; None if it is left to qemu-img. Fails if it did what it must not."""
    try:
        decoding = CheckedDecoding(Qcow2Reader, image)
        while decoding.fed_bytes < len(image):
            decoding.feed(block_bytes)
        return decoding.finish()
    except (NotStreamable, Truncated):
        return None


@given(number=st.integers(0, 63), changes=CHANGES, block_bytes=st.sampled_from((MIB, 512, 3000)))
@settings(max_examples=10 * settings.default.max_examples)
def test_damaged_image_is_read_as_by_the_reference_or_left_to_qemu_img(number, changes, block_bytes):
    images = foreign_images()
    image = changed(images[number % len(images)], changes, images)

    decoded = streamed(image, block_bytes)

    if decoded and decoded.disk is not None:
        assert decoded.disk == disk_of(image)


@given(number=st.integers(0, 63), changes=CHANGES)
@settings(max_examples=settings.default.max_examples)
def test_damaged_image_is_read_as_by_qemu_img_or_left_to_it(number, changes):
    images = small_images()
    image = changed(images[number % len(images)], changes, images)

    decoded = streamed(image)

    if decoded and decoded.disk is not None:
        assert decoded.disk_bytes <= MOST_STORED_BYTES
        assert decoded.disk == converted(image)


@pytest.mark.parametrize(
    ("cluster", "entry", "bitmap"),
    [
        pytest.param(0, None, 1 << 32 | 1, id="stored and zero"),
        pytest.param(0, 0, 1, id="stored nowhere"),
        pytest.param(2, 1, 0, id="zero by its entry"),
        pytest.param(1, None, 1, id="compressed and stored"),
    ],
)
def test_subclusters_that_contradict_their_entry_are_left_to_qemu_img(cluster, entry, bitmap):
    """None for the entry: as it is. The clusters are plain, compressed, and not there."""
    image = Qcow2Writer(Shape("pc-", cluster_bits=14, is_extended=True, order="as by qemu")).image
    at = (Reference(image).l1_table()[0] & 0x00FFFFFFFFFFFE00) + 16 * cluster
    damaged = put(image, at + 8, ">Q", bitmap)

    with pytest.raises(NotStreamable):
        decode_checked(Qcow2Reader, bytes(damaged if entry is None else put(damaged, at, ">Q", entry)))


@pytest.mark.parametrize("cluster_bits", [9, 16])
def test_memory_does_not_grow_with_what_an_image_claims(cluster_bits):
    """Every entry of its first table, which is as large as that of a whole disk, refers to the same table."""
    image = claiming(MIB // 4, cluster_bits, b"\x80\0\0\0\0\x10\0\0")
    tracemalloc.start()
    try:
        feed_without_executing(image)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def claiming(l1_bytes: int, cluster_bits: int, entry: bytes) -> bytes:
    """Return a file whose first table has this size, and that consists of this entry behind its header."""
    cluster = 1 << cluster_bits
    covered = l1_bytes // 8 * (cluster // 8) * cluster
    image = Qcow2Writer(Shape("p", cluster_bits=cluster_bits, version=2)).image[:cluster]
    header = bytearray(image)
    header[24:32] = min(covered, 1 << 50).to_bytes(8)
    header[36:40] = (l1_bytes // 8).to_bytes(4)
    header[40:48] = cluster.to_bytes(8)
    return bytes(header) + entry * (l1_bytes // 4)


def feed_without_executing(image: bytes) -> None:
    kept = bytearray(len(image))
    try:
        reader = Qcow2Reader(image[:65536], len(image), lambda at, length: bytes(kept[at : at + length]))
        for start in range(0, len(image), MIB):
            for action in reader.feed(memoryview(image)[start : start + MIB]):
                if hasattr(action, "data") and hasattr(action, "file_offset"):
                    kept[action.file_offset : action.file_offset + len(action.data)] = action.data
        for _ in reader.finish():
            pass
    except (NotStreamable, Truncated):
        pass
