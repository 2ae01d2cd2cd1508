"""Microsoft's VHDX. A log that must be replayed first is found by qemu. Source: MS-VHDX, and qemu's block/vhdx.c."""

from __future__ import annotations

import struct
from array import array
from uuid import UUID

from precache.rules.disk_formats.content import Content

_REGIONS_AT = 192 << 10
_BLOCK_TABLE = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
_PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le

_MOST_ENTRIES = 2047
_HAS_PARENT = 0b10
_PRESENT = 6
_STATE, _OFFSET = 0b111, ~0xFFFFF
_SECTORS_PER_BITMAP = 1 << 23  # sectors of the disk that one block of the bitmap covers


def why_unusable(content: Content) -> str | None:
    metadata = _metadata(content)
    (_block_bytes, flags) = _numbers(content, metadata.get(_FILE_PARAMETERS), "<II")
    if flags & _HAS_PARENT or _PARENT_LOCATOR in metadata:
        return "it depends on another file: this VHDX holds the differences to a parent; merge the two and upload that"
    return None


def data_end(content: Content) -> int:
    """Return the end of the last block that the table refers to; 0 if there is none."""
    metadata = _metadata(content)
    (block_bytes, _flags) = _numbers(content, metadata.get(_FILE_PARAMETERS), "<II")
    (disk_bytes,) = _numbers(content, metadata.get(_DISK_SIZE), "<Q")
    (sector_bytes,) = _numbers(content, metadata.get(_SECTOR_SIZE), "<I")
    table_at = _regions(content).get(_BLOCK_TABLE)
    if not (block_bytes and disk_bytes and sector_bytes and table_at):
        return 0  # qemu refuses it
    blocks = -(-disk_bytes // block_bytes)
    period = (
        max(_SECTORS_PER_BITMAP * sector_bytes // block_bytes, 1) + 1
    )  # after each such run one entry of the bitmap
    count = blocks + (blocks - 1) // (period - 1)
    end, index = 0, 0
    for piece in content.words(table_at, count, "Q", "little"):
        is_last = index + len(piece) >= count
        if is_last and piece[-1] & _STATE == _PRESENT:
            # The file may end where the disk ends, within the last block.
            end = max(end, (piece[-1] & _OFFSET) + disk_bytes - (blocks - 1) * block_bytes)
        end = max(end, _furthest(piece[: -1 if is_last else None], index, period) + block_bytes)
        index += len(piece)
    return end if end > block_bytes else 0


def _furthest(piece: array[int], index: int, period: int) -> int:
    """Return the highest offset of a block in this part of the table, which begins at entry `index`."""
    del piece[(-1 - index) % period :: period]
    return max((entry & _OFFSET for entry in piece if entry & _STATE == _PRESENT), default=0)


def _regions(content: Content) -> dict[bytes, int]:
    table = content.take(_REGIONS_AT, 16 + 32 * _MOST_ENTRIES)
    (count,) = struct.unpack_from("<I", table, 8)
    return _entries(table, 16, count, "<Q")


def _metadata(content: Content) -> dict[bytes, int]:
    """Return the file offsets of the metadata items."""
    start = _regions(content).get(_METADATA, 0)
    table = content.take(start, 32 * (1 + _MOST_ENTRIES))
    (count,) = struct.unpack_from("<H", table, 10)
    return {name: start + offset for name, offset in _entries(table, 32, count, "<I").items()}


def _entries(table: bytes, first: int, count: int, kind: str) -> dict[bytes, int]:
    """Return name and offset of each entry of a table whose entries have 32 bytes and begin with both."""
    found: dict[bytes, int] = {}
    for at in range(first, first + 32 * min(count, _MOST_ENTRIES), 32):
        (found[table[at : at + 16]],) = struct.unpack_from(kind, table, at + 16)
    return found


def _numbers(content: Content, at: int | None, kind: str) -> tuple[int, ...]:
    return struct.unpack(kind, content.take(at, struct.calcsize(kind)) if at else bytes(struct.calcsize(kind)))
