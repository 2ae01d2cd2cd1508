"""Microsoft's VHD with a table of blocks, the only kind that the inspector knows. Source: the Virtual Hard Disk Image
Format Specification, and qemu's block/vpc.c."""

from __future__ import annotations

import struct

from precache.rules.disk_formats.content import Content

_DYNAMIC, _DIFFERENCING = 3, 4
_HEADER_AT, _TYPE_AT = 16, 60
_UNUSED = 0xFFFFFFFF
_SECTOR_BYTES = 512


def why_unusable(content: Content) -> str | None:
    (kind,) = struct.unpack_from(">I", content.take(0, 512), _TYPE_AT)
    if kind == _DIFFERENCING:
        return "it depends on another file: this VHD holds the differences to a parent; merge the two and upload that"
    if kind != _DYNAMIC:
        # qemu takes everything that begins like this for a dynamic disk, also a fixed one whose guest wrote such a
        # header.
        return f"this VHD says that it is of type {kind}, but only dynamic disks (type {_DYNAMIC}) begin as it does"
    return None


def data_end(content: Content) -> int:
    """Return the end of the last block that the table refers to; 0 if there is none."""
    (header_at,) = struct.unpack_from(">Q", content.take(0, 512), _HEADER_AT)
    table_at, _version, blocks, block_bytes = struct.unpack_from(">QIII", content.take(header_at, 1024), 16)
    bitmap_bytes = -(-block_bytes // _SECTOR_BYTES // 8 // _SECTOR_BYTES) * _SECTOR_BYTES
    end = 0
    for piece in content.words(table_at, blocks, "I", "big"):
        last = max(filter(_UNUSED.__ne__, piece), default=None)
        if last is not None:
            end = max(end, last * _SECTOR_BYTES + bitmap_bytes + block_bytes)
    return end
