"""qemu's own qcow2. The inspector finds a backing file and a data file. Source: qemu's docs/interop/qcow2.txt."""

from __future__ import annotations

import struct

from precache.rules.disk_formats.content import Content

_CLUSTER_BITS = range(9, 22)  # qemu refuses any other number
_CORRUPT = 0b10
_EXTENDED_ENTRIES = 0b10000
_COMPRESSED_BYTE = 0x40  # in the first byte of an entry
_OFFSET = 0x00FFFFFFFFFFFE00
_READS_AS_ZERO = 1
_SECTOR_BYTES = 512
_MOST_TABLES = 1 << 22  # qemu's own limit


def why_unusable(content: Content) -> str | None:
    if _features(content.take(0, 104)) & _CORRUPT:
        # The dirty bit beside it is about reference counts only, which a reader does not use.
        return "this qcow2 is marked as corrupt; repair it with `qemu-img check -r all`, check and upload it"
    return None


def data_end(content: Content) -> int:
    """Return the end of the last sector that must be there; 0 if there is none.

    The file may end within the last cluster that is referred to: qemu writes such files. An offset in the middle of a
    cluster is damage that qemu refuses.
    """
    header = content.take(0, 104)
    (bits,) = struct.unpack_from(">I", header, 20)
    entries, table_at = struct.unpack_from(">IQ", header, 36)
    if bits not in _CLUSTER_BITS:
        return 0  # qemu refuses it
    # Each entry then has a second 64-bit number, whose bits say which parts of its cluster have data.
    words_per_entry = 2 if _features(header) & _EXTENDED_ENTRIES else 1
    end, seen = 0, {0}
    for piece in content.words(table_at, min(entries, _MOST_TABLES), "Q", "big"):
        new = {entry & _OFFSET for entry in set(piece)} - seen
        seen |= new
        for table in new:
            if table % (1 << bits) == 0:
                end = max(end, table + 1, _furthest(content, table, bits, words_per_entry))
    return end


def _features(header: bytes) -> int:
    """Return the incompatible features; version 2 has none."""
    version, features = struct.unpack_from(">I", header, 4)[0], struct.unpack_from(">Q", header, 72)[0]
    return int(features) if version >= 3 else 0


def _furthest(content: Content, table: int, cluster_bits: int, words_per_entry: int) -> int:
    found = 0
    for piece in content.words(table, 1 << cluster_bits - 3, "Q", "big"):
        for entry in set(piece[::words_per_entry]):
            found = max(found, _end_of(entry, cluster_bits))
    return found


def _end_of(entry: int, cluster_bits: int) -> int:
    if entry >> 56 & _COMPRESSED_BYTE:
        width = 62 - (cluster_bits - 8)
        start, more_sectors = entry & (1 << width) - 1, entry >> width & (1 << cluster_bits - 8) - 1
        return start // _SECTOR_BYTES * _SECTOR_BYTES + more_sectors * _SECTOR_BYTES + 1
    if entry & _READS_AS_ZERO or not entry & _OFFSET or entry & _OFFSET & (1 << cluster_bits) - 1:
        return 0
    return (entry & _OFFSET) + 1
