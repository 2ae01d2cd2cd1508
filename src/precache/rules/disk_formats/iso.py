"""ISO 9660: the volume says how long it is. Source: ECMA-119, 8.4."""

from __future__ import annotations

import struct

from precache.rules.disk_formats.content import Content

_DESCRIPTOR_AT = 32 << 10
_PRIMARY = b"\x01CD001"


def data_end(content: Content) -> int:
    """Return the end of the volume in bytes; 0 if it does not say, as a file system of another kind (UDF) does not."""
    descriptor = content.take(_DESCRIPTOR_AT, 2048)
    if not descriptor.startswith(_PRIMARY):
        return 0
    (blocks,) = struct.unpack_from("<I", descriptor, 80)
    (block_bytes,) = struct.unpack_from("<H", descriptor, 128)
    return int(blocks * block_bytes)
