"""Which images the reader takes, by their headers alone."""

import struct

import pytest

from precache.fetch.decoding.placements import Compression, NotStreamable
from precache.fetch.qcow2.header import read_header
from tests.disk_images.making import put
from tests.unit.fetch.qcow2.images import DISK_BYTES, MIB, PLAIN, ZSTD, image

HEAD_BYTES = 64 << 10
EXTENSIONS_AT = 112


def header_of(data):
    return read_header(bytes(data[:HEAD_BYTES]), len(data))


def test_header_says_what_a_reader_must_know():
    data = image(*PLAIN)

    header = header_of(data)

    assert (header.version, header.cluster_bytes, header.subcluster_bytes) == (3, 64 << 10, 64 << 10)
    assert header.disk_bytes == DISK_BYTES
    assert header.compression is Compression.DEFLATE
    assert header.table_covers == 512 * MIB
    assert (header.l1_offset, header.l1_entries) == (struct.unpack(">Q", data[40:48])[0], 1)


def test_subclusters_are_parts_of_clusters_and_double_the_entries():
    header = header_of(image("-o", "extended_l2=on"))

    assert header.subcluster_bytes == 2048
    assert header.table_covers == 256 * MIB


def test_zstd_is_read_from_the_field_behind_the_header_of_old_images():
    assert header_of(image(*ZSTD)).compression is Compression.ZSTD


def test_entries_that_the_disk_does_not_need_are_left_out():
    shrunk = put(image("-o", "cluster_size=512"), 24, ">Q", MIB)

    assert header_of(shrunk).l1_entries == 32


def extension(kind, length, at=EXTENSIONS_AT):
    return lambda data: put(data, at, ">II", kind, length)


def after_unknown(kind):
    """Put an extension far from the header, after one that is skipped."""
    return lambda data: extension(kind, 4, at=EXTENSIONS_AT + 8 + 20_000)(extension(0x12345678, 20_000)(data))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda data: data[:100], "no qcow2 header", id="short file"),
        pytest.param(lambda data: put(data, 0, "4s", b"QED\0"), "no qcow2 header", id="other format"),
        *(
            pytest.param(lambda data, v=v: put(data, 4, ">I", v), f"version {v} of", id=f"version {v}")
            for v in (0, 1, 4)
        ),
        *(
            pytest.param(lambda data, b=b: put(data, 20, ">I", b), rf"clusters of 2\^{b}", id=f"cluster bits {b}")
            for b in (0, 8, 22, 1 << 31)
        ),
        pytest.param(lambda data: put(data, 8, ">Q", 200), "a backing file", id="backing file"),
        pytest.param(lambda data: put(data, 32, ">I", 1), "encryption", id="AES"),
        pytest.param(lambda data: put(data, 32, ">I", 2), "encryption", id="LUKS"),
        pytest.param(lambda data: put(data, 60, ">I", 1), "internal snapshots", id="snapshots"),
        pytest.param(lambda data: put(data, 64, ">Q", 512), "start of a cluster", id="unaligned snapshots"),
        pytest.param(lambda data: put(data, 79, "B", 1), "an image in use", id="dirty"),
        pytest.param(lambda data: put(data, 79, "B", 2), "a corrupt image", id="corrupt"),
        pytest.param(lambda data: put(data, 79, "B", 4), "a data file", id="data file"),
        pytest.param(lambda data: put(data, 79, "B", 32), "unknown features 0x20", id="unknown bit"),
        pytest.param(lambda data: put(data, 72, "B", 128), "unknown features 0x8000", id="last bit"),
        pytest.param(lambda data: put(data, 95, "B", 1), "bitmaps", id="bitmaps by their bit"),
        pytest.param(lambda data: put(data, 95, "B", 2), "features 0x2 that others may clear", id="raw data file"),
        pytest.param(lambda data: put(data, 79, "B", 8), "compression of type 0", id="bit of compression alone"),
        pytest.param(lambda data: put(data, 104, "B", 1), "compression of type 1", id="zstd without its bit"),
        pytest.param(lambda data: put(put(data, 79, "B", 8), 104, "B", 2), "compression of type 2", id="unknown type"),
        pytest.param(lambda data: put(data, 96, ">I", 7), r"reference counts of 2\^7 bits", id="wide counts"),
        pytest.param(lambda data: put(data, 100, ">I", 96), "a header of 96 bytes", id="short header"),
        pytest.param(lambda data: put(data, 100, ">I", 70000), "a header of 70000 bytes", id="long header"),
        pytest.param(lambda data: put(data, 24, ">Q", 0), "a disk of 0 bytes", id="no disk"),
        pytest.param(lambda data: put(data, 24, ">Q", 1000), "a disk of 1000 bytes", id="odd disk"),
        pytest.param(lambda data: put(data, 24, ">Q", 1 << 63), "where the disk needs", id="largest disk"),
        pytest.param(lambda data: put(data, 36, ">I", 0), "of 0 entries, where the disk needs 1", id="no first table"),
        pytest.param(lambda data: put(data, 36, ">I", (512 << 10) + 1), "of 524289 entries", id="large first table"),
        pytest.param(lambda data: put(data, 36, ">I", 100_000), "beyond the end", id="first table cut"),
        pytest.param(lambda data: put(data, 40, ">Q", 0), "start of a cluster", id="first table in the header"),
        pytest.param(lambda data: put(data, 40, ">Q", 512), "start of a cluster", id="unaligned first table"),
        pytest.param(lambda data: put(data, 40, ">Q", 1 << 40), "beyond the end", id="first table behind the end"),
        pytest.param(lambda data: put(data, 48, ">Q", 512), "start of a cluster", id="unaligned counts"),
        pytest.param(lambda data: put(data, 48, ">Q", 1 << 63), "a table of reference counts", id="far counts"),
        pytest.param(lambda data: put(data, 48, ">Q", 64 * MIB), "a table of reference counts", id="cut counts"),
        pytest.param(lambda data: put(data, 56, ">I", 0), "counts of 0 bytes", id="no counts"),
        pytest.param(lambda data: put(data, 56, ">I", 129), "counts of 8454144 bytes", id="many counts"),
        pytest.param(extension(0xE2792ACA, 3), "the format of a backing file", id="format of a backing file"),
        pytest.param(extension(0x0537BE77, 16), "encryption", id="encryption by its extension"),
        pytest.param(extension(0x23852875, 24), "bitmaps", id="bitmaps by their extension"),
        pytest.param(extension(0x44415441, 4), "a data file", id="data file by its extension"),
        pytest.param(after_unknown(0x44415441), "a data file", id="data file by a later extension"),
        pytest.param(extension(0x12345678, 1 << 20), "extension that is too long", id="long extension"),
    ],
)
def test_image_that_qemu_img_must_read_is_refused_with_the_reason(change, reason):
    with pytest.raises(NotStreamable, match=reason):
        header_of(change(image(*PLAIN)))


def test_clusters_too_small_for_subclusters_are_refused():
    small = put(image("-o", "cluster_size=8k"), 79, "B", 16)

    with pytest.raises(NotStreamable, match="subclusters in clusters"):
        header_of(small)


def test_extensions_beyond_the_head_are_refused():
    long = extension(0x12345678, 100_000)(image("-o", "cluster_size=2M"))

    with pytest.raises(NotStreamable, match="long extensions"):
        header_of(long)


def test_unknown_extension_is_skipped():
    (first_kind,) = struct.unpack_from(">I", image(*PLAIN), EXTENSIONS_AT)
    assert first_kind == 0x6803F857  # the names of the features
    unknown = put(image(*PLAIN), EXTENSIONS_AT, ">I", 0x12345678)

    assert header_of(unknown) == header_of(image(*PLAIN))
