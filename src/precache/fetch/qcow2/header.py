"""The header of a qcow2, and whether the image can be decoded while it arrives.

Only an image that qemu would open, and whose disk its two levels of tables describe alone, is read here. Source: qemu's
docs/interop/qcow2.txt, and what qemu 7.2 refuses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from precache.fetch.decoding.placements import Compression, NotStreamable
from precache.rules.disk_formats.qcow2_layout import (
    BACKING_FORMAT_EXTENSION,
    CLUSTER_BITS,
    COMPRESSION_TYPE,
    CORRUPT,
    DATA_FILE,
    DATA_FILE_EXTENSION,
    DIRTY,
    EXTENDED_ENTRIES,
    SECTOR_BYTES,
)

MAGIC = b"QFI\xfb"

_FIELDS = struct.Struct(">4sIQIIQIIQQIIQ")  # version 2
_MORE_FIELDS = struct.Struct(">QQQIIB")  # version 3, as far as the type of the compression
_EXTENSION = struct.Struct(">II")

_MOST_L1_BYTES = 4 << 20
"""Enough for a disk of 256 TiB with clusters of 64 KiB; qemu allows 32 MiB."""
_MOST_REFCOUNT_TABLE_BYTES = 8 << 20  # qemu's own limit
_MOST_REFCOUNT_ORDER = 6
_LARGEST = (1 << 63) - 1  # qemu's offsets are signed

_HEADER_BYTES_V2 = 72
_LEAST_HEADER_BYTES_V3 = 104

_SUBCLUSTERS_PER_CLUSTER = 32

_EXTENSION_END = 0
_KNOWN_EXTENSIONS = {
    BACKING_FORMAT_EXTENSION: "the format of a backing file",
    0x0537BE77: "encryption",
    0x23852875: "bitmaps",
    DATA_FILE_EXTENSION: "a data file",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a reader must know of an image: sizes and offsets in bytes.

    l1_entries: how many the disk needs; further ones do not belong to it.
    """

    version: int
    cluster_bits: int
    has_subclusters: bool
    compression: Compression
    disk_bytes: int
    l1_offset: int
    l1_entries: int

    @property
    def cluster_bytes(self) -> int:
        return 1 << self.cluster_bits

    @property
    def subcluster_bytes(self) -> int:
        """Return the smallest part of a cluster that may be allocated."""
        return self.cluster_bytes // _SUBCLUSTERS_PER_CLUSTER if self.has_subclusters else self.cluster_bytes

    @property
    def table_covers(self) -> int:
        """Return how much of the disk one table of the second level describes."""
        return 1 << _bits_of_table(self.cluster_bits, has_subclusters=self.has_subclusters)

    @property
    def l1_end(self) -> int:
        return self.l1_offset + 8 * self.l1_entries


def read_header(head: bytes, file_bytes: int) -> Header:
    """Return the header of the image that begins with `head`.

    head: the first LEAST_HEAD_BYTES or more, or the whole image. file_bytes: the size of the image.
    Raises NotStreamable.
    """
    if len(head) < _FIELDS.size + _MORE_FIELDS.size or not head.startswith(MAGIC):
        raise NotStreamable("no qcow2 header")
    (_, version, backing_at, _, cluster_bits, disk_bytes, encryption, l1_size, l1_offset, *others) = (
        _FIELDS.unpack_from(head)
    )
    if version not in (2, 3):
        raise NotStreamable(f"version {version} of the format")
    if cluster_bits not in CLUSTER_BITS:
        raise NotStreamable(f"clusters of 2^{cluster_bits} bytes")
    if backing_at:
        raise NotStreamable("a backing file")
    if encryption:
        raise NotStreamable("encryption")
    features = _Features(head, version, cluster_bits)
    _check_other_tables(others, cluster_bits, file_bytes)
    _check_extensions(head, features.header_bytes, 1 << cluster_bits)
    if disk_bytes == 0 or disk_bytes % SECTOR_BYTES:
        raise NotStreamable(f"a disk of {disk_bytes} bytes")
    l1_entries = -(-disk_bytes >> _bits_of_table(cluster_bits, has_subclusters=features.has_subclusters))
    _check_l1(l1_offset, l1_size, l1_entries, cluster_bits, file_bytes)
    return Header(
        version=version,
        cluster_bits=cluster_bits,
        has_subclusters=features.has_subclusters,
        compression=features.compression,
        disk_bytes=disk_bytes,
        l1_offset=l1_offset,
        l1_entries=l1_entries,
    )


class _Features:
    """The fields that only version 3 has; for version 2, what they would be."""

    def __init__(self, head: bytes, version: int, cluster_bits: int) -> None:
        self.header_bytes = _HEADER_BYTES_V2
        self.has_subclusters = False
        self.compression = Compression.DEFLATE
        if version == 3:
            self._read(head, cluster_bits)

    def _read(self, head: bytes, cluster_bits: int) -> None:
        incompatible, _, autoclear, refcount_order, self.header_bytes, compression = _MORE_FIELDS.unpack_from(
            head, _FIELDS.size
        )
        _check_features(incompatible, autoclear)
        if not _LEAST_HEADER_BYTES_V3 <= self.header_bytes <= 1 << cluster_bits:
            raise NotStreamable(f"a header of {self.header_bytes} bytes")
        if refcount_order > _MOST_REFCOUNT_ORDER:
            raise NotStreamable(f"reference counts of 2^{refcount_order} bits")
        self.has_subclusters = bool(incompatible & EXTENDED_ENTRIES)
        if self.has_subclusters and 1 << cluster_bits < _SUBCLUSTERS_PER_CLUSTER * SECTOR_BYTES:
            raise NotStreamable(f"subclusters in clusters of 2^{cluster_bits} bytes")
        if self.header_bytes == _LEAST_HEADER_BYTES_V3:
            compression = 0  # the field is not there
        if bool(incompatible & COMPRESSION_TYPE) != bool(compression) or compression > 1:
            raise NotStreamable(f"compression of type {compression}")
        self.compression = Compression.ZSTD if compression else Compression.DEFLATE


def _check_features(incompatible: int, autoclear: int) -> None:
    for bit, meaning in ((CORRUPT, "the mark of a corrupt image"), (DIRTY, "the mark of an image in use")):
        if incompatible & bit:
            raise NotStreamable(meaning)
    if incompatible & DATA_FILE:
        raise NotStreamable("a data file")
    unknown = incompatible & ~(COMPRESSION_TYPE | EXTENDED_ENTRIES)
    if unknown:
        raise NotStreamable(f"unknown features {unknown:#x}")
    if autoclear:
        # Bitmaps, which qemu reads and checks when it opens the image, or a data file.
        raise NotStreamable("bitmaps" if autoclear == 1 else f"features {autoclear:#x} that others may clear")


def _check_other_tables(others: list[int], cluster_bits: int, file_bytes: int) -> None:
    """Check what qemu checks when it opens an image, although the disk does not need these tables.

    It reads the table of reference counts: where this is missing, the image is truncated.
    """
    refcount_at, refcount_clusters, snapshots, snapshots_at = others
    if snapshots:
        raise NotStreamable("internal snapshots")
    refcount_bytes = refcount_clusters << cluster_bits
    is_outside = refcount_at + refcount_bytes > file_bytes or snapshots_at > _LARGEST
    if not 0 < refcount_bytes <= _MOST_REFCOUNT_TABLE_BYTES or is_outside:
        raise NotStreamable(f"a table of reference counts of {refcount_bytes} bytes at {refcount_at}")
    if refcount_at & (1 << cluster_bits) - 1 or snapshots_at & (1 << cluster_bits) - 1:
        raise NotStreamable("a table that is not at the start of a cluster")


def _check_extensions(head: bytes, start: int, end: int) -> None:
    """Raise NotStreamable if there is an extension that says how to read the disk, or that qemu would refuse."""
    while start < end:
        if start + _EXTENSION.size > len(head):
            raise NotStreamable("long extensions of the header")
        kind, length = _EXTENSION.unpack_from(head, start)
        start += _EXTENSION.size
        if start > end or length > end - start:
            raise NotStreamable("a header extension that is too long")
        if kind == _EXTENSION_END:
            return
        if kind in _KNOWN_EXTENSIONS:
            raise NotStreamable(_KNOWN_EXTENSIONS[kind])
        start += -(-length // 8) * 8


def _check_l1(offset: int, size: int, needed: int, cluster_bits: int, file_bytes: int) -> None:
    if 8 * size > _MOST_L1_BYTES:
        raise NotStreamable(f"a first table of {size} entries")
    if size < needed:
        raise NotStreamable(f"a first table of {size} entries, where the disk needs {needed}")
    if offset == 0 or offset & (1 << cluster_bits) - 1:
        raise NotStreamable("a table that is not at the start of a cluster")
    if offset + 8 * size > file_bytes:
        raise NotStreamable("a first table beyond the end of the image")


def _bits_of_table(cluster_bits: int, *, has_subclusters: bool) -> int:
    """Return the number of bits of an offset within the disk space of one table of the second level."""
    return 2 * cluster_bits - (4 if has_subclusters else 3)
