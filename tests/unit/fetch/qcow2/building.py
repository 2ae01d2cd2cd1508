"""Images whose parts are in any order: what qemu-img never writes, but years of use may leave behind."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

SECTOR_BYTES = 512
_COPIED, _COMPRESSED = 1 << 63, 1 << 62


@dataclass
class Built:
    """An image, and where its parts are. places: of each part, `l1`, `("l2", table)` or `("data", cluster)`."""

    image: bytearray
    disk: bytes
    places: dict[object, int] = field(default_factory=dict)
    entries: dict[int, int] = field(default_factory=dict)
    """File offset of the entry of each cluster of the disk."""


def disk_of(clusters: Sequence[str], cluster_bytes: int, *, cut_bytes: int = 0) -> bytes:
    """Return a disk of clusters that are `zero`, `plain`, or `packed`: worth compressing."""
    rng = random.Random(len(clusters))
    contents = {
        "zero": lambda: bytes(cluster_bytes),
        "plain": lambda: rng.randbytes(cluster_bytes),
        "packed": lambda: (rng.randbytes(rng.choice((1, 60, 400))) * cluster_bytes)[:cluster_bytes],
    }
    disk = b"".join(contents[cluster]() for cluster in clusters)
    return disk[: len(disk) - cut_bytes]


def parts_of(clusters: Sequence[str], cluster_bits: int) -> list[object]:
    """Return the parts of an image in the order in which they are usually found."""
    per_table = 1 << cluster_bits - 3
    parts: list[object] = ["l1"]
    for table in range(-(-len(clusters) // per_table)):
        first = table * per_table
        data = [("data", at) for at in range(first, min(first + per_table, len(clusters))) if clusters[at] != "zero"]
        parts += [("l2", table), *data] if data else []
    return parts


def build(clusters: Sequence[str], order: Sequence[object], cluster_bits: int = 9, *, cut_bytes: int = 0) -> Built:
    """Return an image with its parts in this order behind the header and the reference counts.

    cut_bytes: how much of the last cluster is behind the end of the disk.
    """
    cluster_bytes = 1 << cluster_bits
    disk = disk_of(clusters, cluster_bytes, cut_bytes=cut_bytes)
    per_table = cluster_bytes // 8
    table_count = -(-len(clusters) // per_table)
    built = Built(bytearray(3 * cluster_bytes), disk)
    image = built.image
    free = 0
    entries = [0] * table_count * per_table
    for part in order:
        if isinstance(part, tuple) and part[0] == "data" and clusters[part[1]] == "packed":
            data = _packed(disk[part[1] * cluster_bytes :][:cluster_bytes].ljust(cluster_bytes, b"\0"))
            at = free or len(image)
            image[at:] = data
            free = len(image)
            sectors = (free - 1) // SECTOR_BYTES - at // SECTOR_BYTES
            entries[part[1]] = _COMPRESSED | sectors << 62 - (cluster_bits - 8) | at
        else:
            free = 0
            image += bytes(-len(image) % cluster_bytes)
            at = len(image)
            length = -(-8 * table_count // cluster_bytes) * cluster_bytes if part == "l1" else cluster_bytes
            image += bytes(length)
            if isinstance(part, tuple) and part[0] == "data":
                image[at : at + cluster_bytes] = disk[part[1] * cluster_bytes :][:cluster_bytes].ljust(
                    cluster_bytes, b"\0"
                )
                entries[part[1]] = _COPIED | at
        built.places[part] = at
    image += bytes(-len(image) % SECTOR_BYTES)
    _fill_tables(built, entries, cluster_bits, table_count)
    return built


def _fill_tables(built: Built, entries: list[int], cluster_bits: int, table_count: int) -> None:
    image, per_table = built.image, 1 << cluster_bits - 3
    l1_at = built.places["l1"]
    for table in range(table_count):
        at = built.places.get(("l2", table))
        if at is None:
            continue
        struct.pack_into(">Q", image, l1_at + 8 * table, at | _COPIED)
        struct.pack_into(f">{per_table}Q", image, at, *entries[table * per_table :][:per_table])
        built.entries |= {table * per_table + index: at + 8 * index for index in range(per_table)}
    fields = (b"QFI\xfb", 3, 0, 0, cluster_bits, len(built.disk), 0, table_count, l1_at, 1 << cluster_bits, 1, 0, 0)
    struct.pack_into(">4sIQIIQIIQQIIQ", image, 0, *fields)
    struct.pack_into(">QQQII", image, 72, 0, 0, 0, 4, 104)
    struct.pack_into(">Q", image, 1 << cluster_bits, 2 << cluster_bits)


def _packed(cluster: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return packer.compress(cluster) + packer.flush()
