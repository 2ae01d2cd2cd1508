"""The two levels of tables of a qcow2: which bytes of the image are which bytes of the disk.

Pure functions over the bytes of one table. What qemu refuses, or what is not plainly understood, raises NotStreamable.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator

from precache.fetch.decoding.placements import NotStreamable
from precache.fetch.qcow2.header import Header
from precache.rules.disk_formats.qcow2_layout import COMPRESSED, COPIED, OFFSET, READS_AS_ZERO, compressed_extent

MOST_PIECES = 1 << 18
"""How many pieces are known at once; some 30 bytes each. Also the number of entries of the largest table."""

_SUBCLUSTERS = 32
_ALL_ALLOCATED = (1 << _SUBCLUSTERS) - 1
_NEVER = -1


class Pieces:
    """The parts of the image that one table refers to, in the order of the disk. All lists have the same length.

    A piece that is not compressed has as many bytes in the image as on the disk, and may be many clusters.
    lengths: bytes in the image, to the end of the last sector if it is compressed.
    """

    __slots__ = ("compressed", "disk_offsets", "file_offsets", "lengths")

    def __init__(self) -> None:
        self.disk_offsets, self.file_offsets, self.lengths = array("Q"), array("Q"), array("Q")
        self.compressed = bytearray()

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[tuple[int, int, int, bool]]:
        """Yield the disk offset, the file offset and the length of each piece, and whether it is compressed."""
        return zip(self.disk_offsets, self.file_offsets, self.lengths, map(bool, self.compressed), strict=True)

    def add(self, disk_offset: int, file_offset: int, length: int, *, is_compressed: bool = False) -> None:
        self.disk_offsets.append(disk_offset)
        self.file_offsets.append(file_offset)
        self.lengths.append(length)
        self.compressed.append(is_compressed)


def table_offsets(l1: bytes, header: Header) -> array[int]:
    """Return the file offset of each table of the second level; 0 where there is none."""
    offsets = _words(l1)
    for index, entry in enumerate(offsets):
        offset = entry & OFFSET
        if entry & ~(OFFSET | COPIED) or offset & header.cluster_bytes - 1:
            raise NotStreamable(f"entry {entry:#x} in the first table")
        offsets[index] = offset
    return offsets


def pieces_of(l2: bytes, header: Header, disk_offset: int) -> Pieces:
    """Return the pieces of one table of the second level.

    disk_offset: of the part of the disk that the table describes. What lies behind the end of the disk is left out.
    """
    disk_end = min(disk_offset + header.table_covers, header.disk_bytes)
    if header.has_subclusters:
        return _with_subclusters(_words(l2), header, disk_offset, disk_end)
    return _of_clusters(_words(l2), header, disk_offset, disk_end)


def _of_clusters(entries: array[int], header: Header, disk_offset: int, disk_end: int) -> Pieces:
    pieces, cluster = Pieces(), header.cluster_bytes
    started = disk_offset
    # The entry that would continue the piece, so that a run of clusters costs one comparison each.
    expected = _NEVER
    for disk, entry in zip(range(disk_offset, disk_end, cluster), entries, strict=False):
        if entry == expected:
            expected += cluster
            continue
        if expected != _NEVER:
            pieces.lengths.append(disk - started)
            expected = _NEVER
        if not entry:
            continue
        if entry & COMPRESSED:
            pieces.add(disk, *_compressed(entry, header.cluster_bits), is_compressed=True)
            continue
        offset = _plain(entry, header)
        if offset:
            pieces.disk_offsets.append(disk)
            pieces.file_offsets.append(offset)
            pieces.compressed.append(False)
            started, expected = disk, entry + cluster
    if expected != _NEVER:
        pieces.lengths.append(disk_end - started)
    return pieces


def _compressed(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Return the file offset and the length of a compressed cluster."""
    if entry & COPIED:
        raise NotStreamable(f"entry {entry:#x} in a table")
    start, end = compressed_extent(entry, cluster_bits)
    return start, end - start


def _plain(entry: int, header: Header) -> int:
    """Return the file offset of a cluster that is not compressed; 0 if it reads as zeros."""
    offset = entry & OFFSET
    known = OFFSET | COPIED
    if header.version >= 3 and not header.has_subclusters:
        known |= READS_AS_ZERO
    if entry & ~known or offset & header.cluster_bytes - 1:
        raise NotStreamable(f"entry {entry:#x} in a table")
    return 0 if entry & READS_AS_ZERO else offset


def _with_subclusters(words: array[int], header: Header, disk_offset: int, disk_end: int) -> Pieces:
    """Return the pieces where each entry has a second word, which says for each subcluster whether it is allocated."""
    pieces, cluster = Pieces(), header.cluster_bytes
    for disk, entry, bitmap in zip(range(disk_offset, disk_end, cluster), words[::2], words[1::2], strict=False):
        if entry & COMPRESSED:
            if bitmap:
                raise NotStreamable(f"a compressed cluster with subclusters {bitmap:#x}")
            pieces.add(disk, *_compressed(entry, header.cluster_bits), is_compressed=True)
            continue
        offset, allocated, zeros = _plain(entry, header), bitmap & _ALL_ALLOCATED, bitmap >> _SUBCLUSTERS
        if allocated & zeros or (allocated and not offset):
            raise NotStreamable(f"subclusters {bitmap:#x} of entry {entry:#x}")
        _add_subclusters(pieces, disk, offset, allocated, header.subcluster_bytes)
        if len(pieces) > MOST_PIECES:
            raise NotStreamable("too many pieces in one table")
    _cut(pieces, disk_end)
    return pieces


def _add_subclusters(pieces: Pieces, disk: int, offset: int, allocated: int, subcluster: int) -> None:
    """Add the allocated parts of one cluster; the first one continues the last piece if it follows it."""
    first = 0
    while allocated:
        skipped = (allocated & -allocated).bit_length() - 1
        allocated >>= skipped
        first += skipped
        count = (~allocated & allocated + 1).bit_length() - 1
        start, length = first * subcluster, count * subcluster
        if not _continues(pieces, disk + start, offset + start):
            pieces.add(disk + start, offset + start, 0)
        pieces.lengths[-1] += length
        allocated >>= count
        first += count


def _continues(pieces: Pieces, disk: int, offset: int) -> bool:
    if not pieces or pieces.compressed[-1]:
        return False
    length = pieces.lengths[-1]
    return pieces.disk_offsets[-1] + length == disk and pieces.file_offsets[-1] + length == offset


def _cut(pieces: Pieces, disk_end: int) -> None:
    """Leave out what lies behind the end of the disk."""
    while pieces and pieces.disk_offsets[-1] >= disk_end:
        for values in (pieces.disk_offsets, pieces.file_offsets, pieces.lengths, pieces.compressed):
            values.pop()
    if pieces and not pieces.compressed[-1]:
        pieces.lengths[-1] = min(pieces.lengths[-1], disk_end - pieces.disk_offsets[-1])


def _words(table: bytes) -> array[int]:
    words = array("Q", table)
    if sys.byteorder == "little":
        words.byteswap()
    return words
