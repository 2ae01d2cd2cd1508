"""What a format says of itself, read from any bytes whatever: always an answer, after a bounded number of reads."""

import struct
import zlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import DiskFormat
from precache.rules.disk_formats import Content, is_truncated, why_unusable

HEADERS = {
    DiskFormat.QCOW2: b"QFI\xfb" + struct.pack(">IQIIQIIQ", 3, 0, 0, 9, 1 << 20, 0, 64, 512),
    DiskFormat.VHD: struct.pack(">8sIIQ", b"conectix", 2, 65536, 512).ljust(60, b"\0") + struct.pack(">I", 3),
    DiskFormat.VDI: bytes(64) + struct.pack("<IIII", 0xBEDA107F, 65537, 400, 1),
    DiskFormat.VMDK: struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 1 << 20, 8, 1, 1, 64, 0, 2),
    DiskFormat.VHDX: b"vhdxfile",
    DiskFormat.ISO: bytes(32 << 10) + b"\x01CD001\x01",
}


class Reads:
    """Bytes that count what is read of them, and refuse what a reader must not ask for."""

    def __init__(self, data):
        self.data, self.total = data, 0

    def content(self):
        return Content(size_bytes=len(self.data), read=self._read)

    def _read(self, offset, length):
        assert offset >= 0
        assert 0 < length <= len(self.data) - offset
        self.total += length
        return self.data[offset : offset + length]


@cache
def scattered(seed, size):
    """Return bytes of which many are zero, as tables are, and of which any field may be anything."""
    noise = b"".join(
        zlib.crc32(bytes([seed % 256, index % 256, index >> 8])).to_bytes(4, "little") for index in range(size // 8)
    )
    return b"".join(noise[at : at + 4] + bytes(4) for at in range(0, len(noise), 4))


@pytest.mark.parametrize("disk_format", DiskFormat)
@given(
    body=st.one_of(
        st.binary(max_size=3000), st.builds(scattered, st.integers(0, 7), st.sampled_from([4096, 200_000, 400_000]))
    ),
    changes=st.lists(st.tuples(st.integers(0, 1023), st.binary(min_size=1, max_size=8)), max_size=6),
    is_converted=st.booleans(),
)
def test_any_content_gets_an_answer_after_a_bounded_number_of_reads(disk_format, body, changes, is_converted):
    header = HEADERS.get(disk_format, b"")
    data = bytearray(header + body[len(header) :])
    for at, value in changes:
        data[at : at + len(value)] = value
    reads = Reads(bytes(data))

    why_unusable(disk_format, reads.content())
    is_truncated(disk_format, reads.content(), is_converted=is_converted)

    assert reads.total <= 8 * len(data) + (1 << 20)


@pytest.mark.parametrize("disk_format", [None, "", "ploop", "raw"])
def test_format_that_says_nothing_of_itself_has_no_objection(disk_format):
    content = Reads(b"anything").content()

    assert why_unusable(disk_format, content) is None
    assert not is_truncated(disk_format, content, is_converted=False)


def test_qcow2_whose_compressed_cluster_lies_behind_the_end_is_cut_off():
    def image(offset):
        table = struct.pack(">Q", 1 << 62 | offset).ljust(512, b"\0")
        return HEADERS[DiskFormat.QCOW2].ljust(512, b"\0") + struct.pack(">Q", 1 << 63 | 1024).ljust(512, b"\0") + table

    assert is_truncated("qcow2", Reads(image(1536)).content(), is_converted=False)
    assert not is_truncated("qcow2", Reads(image(1000)).content(), is_converted=False)


@pytest.mark.parametrize(("version", "is_refused"), [(3, False), (2, True)])
def test_bits_of_extended_qcow2_entries_are_no_offsets(version, is_refused):
    header = struct.pack(">IQIIQIIQ", version, 0, 0, 9, 1 << 20, 0, 64, 512)
    features = struct.pack(">Q", 0b10000)
    table = struct.pack(">QQ", 1 << 63 | 1536, 0xFFFF0000).ljust(512, b"\0")  # half of the cluster's parts have data
    image = (b"QFI\xfb" + header).ljust(72, b"\0") + features
    image = image.ljust(512, b"\0") + struct.pack(">Q", 1 << 63 | 1024).ljust(512, b"\0") + table + bytes(512)

    assert is_truncated("qcow2", Reads(image).content(), is_converted=False) is is_refused
    assert is_truncated("qcow2", Reads(image[:-512]).content(), is_converted=False)


def test_table_of_a_vmdk_that_is_named_a_million_times_is_read_once():
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 1 << 40, 8, 1, 1, 64, 0, 2).ljust(1024, b"\0")
    reads = Reads(header + struct.pack("<I", 1) * 500_000)

    is_truncated("vmdk", reads.content(), is_converted=False)

    assert reads.total < 2 * len(reads.data)
