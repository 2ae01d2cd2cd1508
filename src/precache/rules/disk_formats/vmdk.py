"""VMware's VMDK in one file, sparse or compressed. Source: VMware's Virtual Disk Format 5.0; qemu's block/vmdk.c."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from precache.rules.disk_formats.content import Content

_SECTOR_BYTES = 512
_HEADER = struct.Struct("<4sIIQQQQIQQ")
_COMPRESSED = 1 << 16
_AT_END = (1 << 64) - 1
_FOOTER_FROM_END = 1024
_MARKER_BYTES = 12
_LONGEST_DESCRIPTOR = (1 << 20) - 1  # as in qemu and the inspector
_MOST_TABLES = 1 << 20
"""With 512 entries for 64 KiB each they cover 32 TiB; a disk in one file has at most 2 TiB."""
_MOST_TABLE_ENTRIES = 512

_PARENT = re.compile(rb'^[ \t]*parentCID[ \t]*=[ \t]*"?([0-9a-f]+)', re.IGNORECASE | re.MULTILINE)
_PARENT_FILE = re.compile(rb"^[ \t]*parentFileNameHint[ \t]*=", re.IGNORECASE | re.MULTILINE)
_EXTENT = re.compile(rb"^[ \t]*(?:rw|rdonly|noaccess)[ \t]", re.IGNORECASE | re.MULTILINE)
_NO_PARENT = 0xFFFFFFFF


def why_unusable(content: Content) -> str | None:
    descriptor = _descriptor(content)
    parent = _PARENT.search(descriptor)
    if (parent and int(parent[1], 16) != _NO_PARENT) or _PARENT_FILE.search(descriptor):
        return "it depends on another file: this VMDK holds the differences to a parent; merge the two and upload that"
    extents = len(_EXTENT.findall(descriptor))
    if extents > 1:
        return f"it depends on other files: this VMDK is the first of {extents}; merge and upload them"
    return None


def is_compressed(content: Content) -> bool:
    """Return whether its data are compressed: then its tables are among or behind the data."""
    return bool(_fields(content.take(0, 512))[2] & _COMPRESSED)


def data_end(content: Content) -> int:
    """Return the end of the last piece of data that the tables refer to; 0 if there is none."""
    header = content.take(0, 512)
    if _fields(header)[9] == _AT_END:
        header = content.take(max(content.size_bytes - _FOOTER_FROM_END, 0), 512)
    _magic, _version, flags, capacity, grain, _at, _size, entries, _spare, directory = _fields(header)
    if not grain or not 0 < entries <= _MOST_TABLE_ENTRIES:
        return 0  # qemu refuses it
    tables = min(-(-capacity // (grain * entries)), _MOST_TABLES)
    last = max(_grains(content, directory * _SECTOR_BYTES, tables, entries), default=0) * _SECTOR_BYTES
    if last <= _SECTOR_BYTES:  # an entry of 1 means zeros that are not stored
        return 0
    if not flags & _COMPRESSED:
        return last + grain * _SECTOR_BYTES
    (packed_bytes,) = struct.unpack_from("<I", content.take(last, _MARKER_BYTES), 8)
    return last + _MARKER_BYTES + max(int(packed_bytes), 1)


def _grains(content: Content, directory: int, tables: int, entries: int) -> Iterator[int]:
    """Yield the highest sector that each table refers to; each is read only once."""
    seen: set[int] = set()
    for piece in content.words(directory, tables, "I", "little"):
        new = set(piece) - seen - {0}
        seen |= new
        for table in new:
            if table * _SECTOR_BYTES >= content.size_bytes:
                yield table
            for words in content.words(table * _SECTOR_BYTES, entries, "I", "little"):
                yield max(words)


def _descriptor(content: Content) -> bytes:
    _magic, _version, _flags, _capacity, _grain, at, sectors, *_rest = _fields(content.take(0, 512))
    text = content.take(at * _SECTOR_BYTES, min(sectors * _SECTOR_BYTES, _LONGEST_DESCRIPTOR))
    return text.split(b"\0", 1)[0]


def _fields(header: bytes) -> tuple[int, ...]:
    return _HEADER.unpack_from(header)
