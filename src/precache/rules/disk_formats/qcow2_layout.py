"""The numbers of the qcow2 format that several readers of it share. Source: qemu's docs/interop/qcow2.txt."""

from __future__ import annotations

CLUSTER_BITS = range(9, 22)
"""The sizes of clusters, as powers of two; qemu refuses any other."""

SECTOR_BYTES = 512

DIRTY, CORRUPT, DATA_FILE, COMPRESSION_TYPE, EXTENDED_ENTRIES = (1 << bit for bit in range(5))
"""The incompatible features, of which version 2 has none.

EXTENDED_ENTRIES: each entry has a second word, whose bits say which parts of its cluster have data.
"""

BACKING_FORMAT_EXTENSION, DATA_FILE_EXTENSION = 0xE2792ACA, 0x44415441

# The words of a table. COPIED: there is no other reference to the cluster, which means nothing to a reader.
OFFSET = 0x00FFFFFFFFFFFE00
COPIED = 1 << 63
COMPRESSED = 1 << 62
READS_AS_ZERO = 1


def compressed_extent(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Return the offset of a compressed cluster in the file, and that of the end of its last sector."""
    width = 62 - (cluster_bits - 8)
    start, more_sectors = entry & (1 << width) - 1, entry >> width & (1 << cluster_bits - 8) - 1
    return start, (start // SECTOR_BYTES + more_sectors + 1) * SECTOR_BYTES
