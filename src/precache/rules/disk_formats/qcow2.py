"""qemu's own qcow2. The inspector finds a backing file and a data file. Source: qemu's docs/interop/qcow2.txt."""

from __future__ import annotations

import struct

from precache.rules.disk_formats.content import Content
from precache.rules.disk_formats.qcow2_layout import (
    CLUSTER_BITS,
    COMPRESSED,
    CORRUPT,
    EXTENDED_ENTRIES,
    OFFSET,
    READS_AS_ZERO,
    SECTOR_BYTES,
    compressed_extent,
)

_MOST_TABLES = 1 << 22  # qemu's own limit


def why_unusable(content: Content) -> str | None:
    if _features(content.take(0, 104)) & CORRUPT:
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
    if bits not in CLUSTER_BITS:
        return 0  # qemu refuses it
    words_per_entry = 2 if _features(header) & EXTENDED_ENTRIES else 1
    end, seen = 0, {0}
    for piece in content.words(table_at, min(entries, _MOST_TABLES), "Q", "big"):
        new = {entry & OFFSET for entry in set(piece)} - seen
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
    if entry & COMPRESSED:
        _, end = compressed_extent(entry, cluster_bits)
        return end - SECTOR_BYTES + 1
    if entry & READS_AS_ZERO or not entry & OFFSET or entry & OFFSET & (1 << cluster_bits) - 1:
        return 0
    return (entry & OFFSET) + 1
