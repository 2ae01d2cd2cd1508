"""A reader of whole qcow2 files, independent of the product: what `qemu-img convert -O raw` of qemu 7.2 makes of them.

It is short because it is slow and holds everything in memory. Tests compare it with qemu-img first, and then use it in
place of qemu-img where thousands of images are compared. Source: qemu's docs/interop/qcow2.txt and block/qcow2.c.
"""

from __future__ import annotations

import struct
import zlib

import zstandard

_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_ZERO = 1
_SECTOR_BYTES = 512
_SUBCLUSTERS = 32
_KNOWN_FEATURES = 0b11111  # dirty, corrupt, data file, compression type, extended L2
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION_TYPE, _EXTENDED = (1 << bit for bit in range(5))
_BITMAPS, _RAW_DATA_FILE = 1, 2
_END, _BACKING_FORMAT, _ENCRYPTION, _BITMAP_DIRECTORY = 0, 0xE2792ACA, 0x0537BE77, 0x23852875


class Unreadable(Exception):
    """`qemu-img convert` fails, or the image has what is not read here: snapshots, bitmaps, a backing file."""


class Reference:
    """One image. `disk` returns the content of its disk."""

    def __init__(self, image: bytes) -> None:
        """Raises Unreadable."""
        self._image = image
        self._read_header()

    def _read_header(self) -> None:
        image = self._image.ljust(112, b"\0")
        magic, version, backing, _, bits, self.disk_bytes, encryption = struct.unpack_from(">4sIQIIQI", image)
        self.version = version
        _refuse_unless(magic == b"QFI\xfb" and version in (2, 3) and 9 <= bits <= 21)
        self.cluster_bits, self.cluster_bytes = bits, 1 << bits
        features, optional, header_bytes, compression = 0, 0, 72, 0
        if version == 3:
            features, _, optional, refcount_order, header_bytes = struct.unpack_from(">QQQII", image, 72)
            _refuse_unless(104 <= header_bytes <= self.cluster_bytes and refcount_order <= 6)
            compression = image[104] if header_bytes > 104 else 0
        _refuse_unless(not encryption and not backing and not features & ~_KNOWN_FEATURES)
        _refuse_unless(not features & (_CORRUPT | _DATA_FILE) and not optional & _RAW_DATA_FILE)
        self._check_extensions(header_bytes, has_bitmaps=bool(optional & _BITMAPS))
        _refuse_unless(compression <= 1 and bool(features & _COMPRESSION_TYPE) == (compression == 1))
        self.is_extended = bool(features & _EXTENDED)
        _refuse_unless(not self.is_extended or bits >= 14)
        self._inflate = _unzstd if compression else _inflate
        self.l1_entries, self.l1_offset = struct.unpack_from(">IQ", image, 36)
        refcounts, refcount_clusters, snapshots, snapshots_offset = struct.unpack_from(">QIIQ", image, 48)
        _refuse_unless(self._is_table(refcounts, refcount_clusters << bits, 8 << 20) and refcount_clusters > 0)
        _refuse_unless(self._is_table(snapshots_offset, 0, 0) and not snapshots)  # what snapshots say is not read here
        _refuse_unless(self._is_table(self.l1_offset, self.l1_entries * 8, 32 << 20))
        _refuse_unless(self.l1_entries * self.table_covers_bytes >= self.disk_bytes)

    def _check_extensions(self, offset: int, *, has_bitmaps: bool) -> None:
        while offset < self.cluster_bytes:
            kind, length = struct.unpack(">II", self._bytes(offset, 8))
            offset += 8
            _refuse_unless(length <= self.cluster_bytes - offset)
            if kind == _END:
                return
            _refuse_unless(kind != _ENCRYPTION and not (kind == _BACKING_FORMAT and length > 15))
            _refuse_unless(kind != _BITMAP_DIRECTORY or (length == 24 and not has_bitmaps))  # it is not read here
            offset += -(-length // 8) * 8

    def _is_table(self, offset: int, size: int, most: int) -> bool:
        return size <= most and offset % self.cluster_bytes == 0 and offset + size < 1 << 63

    @property
    def words_per_entry(self) -> int:
        return 2 if self.is_extended else 1

    @property
    def table_covers_bytes(self) -> int:
        """Return how much of the disk one L2 table describes."""
        return self.cluster_bytes // (8 * self.words_per_entry) * self.cluster_bytes

    def disk(self) -> bytes:
        """Return the disk. Raises Unreadable."""
        length = self.disk_bytes // _SECTOR_BYTES * _SECTOR_BYTES
        disk = bytearray(length)
        for table_at, table in enumerate(self.l1_table()[: -(-length // self.table_covers_bytes)]):
            if table & _OFFSET:
                _refuse_unless((table & _OFFSET) % self.cluster_bytes == 0)
                self._read_table(
                    disk, table_at * self.table_covers_bytes, self.words(table & _OFFSET, self.cluster_bytes // 8)
                )
        return bytes(disk)

    def l1_table(self) -> tuple[int, ...]:
        return self.words(self.l1_offset, self.l1_entries)

    def words(self, offset: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f">{count}Q", self._bytes(offset, count * 8))

    def _bytes(self, offset: int, length: int) -> bytes:
        return self._image[offset : offset + length].ljust(length, b"\0")

    def _read_table(self, disk: bytearray, start: int, words: tuple[int, ...]) -> None:
        step = self.words_per_entry
        for at in range(0, len(words), step):
            if start >= len(disk):
                return
            content = self._cluster(words[at], words[at + 1] if step == 2 else None)
            if content is not None:
                disk[start : start + self.cluster_bytes] = content[: len(disk) - start]
            start += self.cluster_bytes

    def _cluster(self, entry: int, bitmap: int | None) -> bytes | None:
        """Return the cluster's content; None if it is zero."""
        if entry & _COMPRESSED:
            return self._compressed(entry)
        offset = entry & _OFFSET
        if bitmap is None and entry & _ZERO:
            _refuse_unless(self.version > 2 and offset % self.cluster_bytes == 0)
            return None
        allocated, zero = (0xFFFFFFFF, 0) if bitmap is None else (bitmap & 0xFFFFFFFF, bitmap >> 32)
        if not offset:
            _refuse_unless(bitmap is None or not allocated)
            return None
        _refuse_unless(not allocated & zero and offset % self.cluster_bytes == 0)
        content = bytearray(self._bytes(offset, self.cluster_bytes))
        part = self.cluster_bytes // _SUBCLUSTERS
        for number in range(_SUBCLUSTERS):
            if not allocated >> number & 1:
                content[number * part : (number + 1) * part] = bytes(part)
        return bytes(content)

    def _compressed(self, entry: int) -> bytes:
        width = 62 - (self.cluster_bits - 8)
        offset = entry & (1 << width) - 1
        sectors = (entry >> width & (1 << self.cluster_bits - 8) - 1) + 1
        return self._inflate(self._bytes(offset, sectors * _SECTOR_BYTES - offset % _SECTOR_BYTES), self.cluster_bytes)


def _refuse_unless(condition: bool) -> None:
    if not condition:
        raise Unreadable


def _inflate(data: bytes, length: int) -> bytes:
    try:
        content = zlib.decompressobj(-12).decompress(data, length)
    except zlib.error as error:
        raise Unreadable from error
    _refuse_unless(len(content) == length)
    return content


def _unzstd(data: bytes, length: int) -> bytes:
    try:
        content = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError as error:
        raise Unreadable from error
    _refuse_unless(len(content) == length)
    return content


def disk_of(image: bytes) -> bytes | None:
    """Return what `qemu-img convert -O raw` makes of the image; None if it fails.

    Also None for an image with snapshots, bitmaps, or a place for the name of a backing file.
    """
    try:
        return Reference(image).disk()
    except Unreadable:
        return None
