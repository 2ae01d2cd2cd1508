"""VirtualBox's VDI. Source: qemu's block/vdi.c, VirtualBox's VDICore.h."""

from __future__ import annotations

import struct

from precache.rules.disk_formats.content import Content

_TYPE_AT, _MAP_AT, _DISK_SIZE_AT, _UUIDS_AT = 0x4C, 0x154, 0x170, 0x1A8
_WHOLE = (1, 2)  # dynamic and fixed; the others (undo, difference) are parts of a chain
_NO_UUID = bytes(16)
_FIRST_UNUSED = 0xFFFFFFFE  # the two highest numbers: never written, and discarded


def why_unusable(content: Content) -> str | None:
    header = content.take(0, 512)
    (kind,) = struct.unpack_from("<I", header, _TYPE_AT)
    (extra_bytes,) = struct.unpack_from("<I", header, _DISK_SIZE_AT + 12)
    link, parent = header[_UUIDS_AT : _UUIDS_AT + 16], header[_UUIDS_AT + 16 : _UUIDS_AT + 32]
    if kind not in _WHOLE or link != _NO_UUID or parent != _NO_UUID:
        return "it depends on another file: this VDI holds the differences to a parent; merge the two and upload that"
    if extra_bytes:
        return (
            f"each block of this VDI begins with {extra_bytes} bytes that qemu does not know; copy it with VBoxManage"
        )
    return None


def data_end(content: Content) -> int:
    """Return the end of the last block that the map refers to; 0 if there is none."""
    header = content.take(0, 512)
    map_at, data_at = struct.unpack_from("<II", header, _MAP_AT)
    disk_bytes, block_bytes, _extra, blocks = struct.unpack_from("<QIII", header, _DISK_SIZE_AT)
    end, index = 0, 0
    for piece in content.words(map_at, blocks, "I", "little"):
        last = blocks - 1 - index
        used = max(filter(_FIRST_UNUSED.__gt__, piece[:last] if last < len(piece) else piece), default=-1)
        end = max(end, data_at + (used + 1) * block_bytes if used >= 0 else 0)
        if last < len(piece) and piece[last] < _FIRST_UNUSED:
            # The file may end where the disk ends, within the last block.
            rest = min(block_bytes, max(disk_bytes - (blocks - 1) * block_bytes, 0))
            end = max(end, data_at + piece[last] * block_bytes + rest)
        index += len(piece)
    return end
