"""The first sectors of a VMDK: its header, and the descriptor in text."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from precache.fetch.decoding.placements import NotStreamable
from precache.rules.disk_formats import Content, vmdk

SECTOR_BYTES = 512
AT_END = (1 << 64) - 1
"""The sector of the directory in a header whose valid copy is at the end of the file."""

TABLE_ENTRIES = 512
"""Grains in each table, by the format's description."""

_MAGIC = b"KDMV"
_FIELDS = struct.Struct("<4sIIQQQQIQQQ5sH")
_ZERO_GRAINS, _COMPRESSED, _MARKERS = 1 << 2, 1 << 16, 1 << 17
_DEFLATE = 1
_VERSIONS = range(1, 4)
_GRAIN_SECTORS = frozenset(1 << bits for bits in range(3, 12))
"""4 KiB to 1 MiB; the format requires more than 4 KiB, and all tools write 64 KiB."""

_MOST_TABLES = 1 << 16
"""With grains of 64 KiB they cover 2 TiB, the largest disk in one file."""

_DESCRIPTOR_SECTOR = 1
_DESCRIPTOR_BYTES = 20 * SECTOR_BYTES
"""What qemu reads of the descriptor, at the sector after the header wherever the header says that it is."""

_TYPE = re.compile(rb'^createType="streamOptimized"\r?$', re.MULTILINE)
_CID = re.compile(rb"^CID=[0-9a-f]{1,8}\r?$", re.MULTILINE)
_PARENT_FILE = b"parentFileNameHint"
"""qemu takes what follows this for the name of a parent wherever it stands, also in a comment."""
_NO_PARENT = re.compile(rb"^parentCID=ffffffff\r?$", re.MULTILINE)

MARKER = struct.Struct("<QII")
"""How many sectors follow, 0, and the kind of what follows. It has a sector of its own, filled with zeros."""

END, TABLE, DIRECTORY, FOOTER = range(4)

_DIRECTORY = struct.Struct("<Q")
_DIRECTORY_AT = 56

_NOT_PLAIN = "its {} is not a plain one of a streamOptimized VMDK"


@dataclass(frozen=True, slots=True)
class Header:
    """What the disk and its tables are. Sectors have 512 bytes.

    directory: the sector of the grain directory; AT_END if the copy of the header at the end has it.
    first_grain: the sector of the first marker.
    """

    disk_sectors: int
    grain_sectors: int
    directory: int
    first_grain: int
    has_zero_grains: bool

    @property
    def disk_bytes(self) -> int:
        return self.disk_sectors * SECTOR_BYTES

    @property
    def grain_bytes(self) -> int:
        return self.grain_sectors * SECTOR_BYTES

    @property
    def grains(self) -> int:
        """Return how many grains the disk has, the last one perhaps shorter."""
        return -(-self.disk_sectors // self.grain_sectors)

    @property
    def tables(self) -> int:
        """Return how many entries the directory has."""
        return -(-self.grains // TABLE_ENTRIES)


def parse_header(sector: bytes) -> Header:
    """Return the header in the first bytes of `sector`. Raises NotStreamable."""
    if len(sector) < _FIELDS.size:
        raise NotStreamable(_NOT_PLAIN.format("header"))
    fields = _FIELDS.unpack_from(sector)
    magic, version, flags, capacity, grain, descriptor, _, entries, _, directory, overhead, _, algorithm = fields
    if not flags & _COMPRESSED or algorithm != _DEFLATE:
        raise NotStreamable("it is a VMDK of another kind than streamOptimized")
    is_plain = (
        magic == _MAGIC
        and version in _VERSIONS
        and flags & _MARKERS
        and grain in _GRAIN_SECTORS
        and descriptor == _DESCRIPTOR_SECTOR
        and entries == TABLE_ENTRIES
        and 0 < capacity <= _MOST_TABLES * TABLE_ENTRIES * grain
    )
    if not is_plain:
        raise NotStreamable(_NOT_PLAIN.format("header"))
    return Header(
        disk_sectors=capacity,
        grain_sectors=grain,
        directory=directory,
        first_grain=overhead,
        has_zero_grains=bool(flags & _ZERO_GRAINS),
    )


def read_head(head: bytes, file_bytes: int) -> Header:
    """Return the header of an image that is a whole disk by itself, after checks of header and descriptor.

    head: the first bytes of the file, with the whole descriptor. Raises NotStreamable.
    """
    header = parse_header(head)
    start = header.first_grain * SECTOR_BYTES
    directory_end = header.directory * SECTOR_BYTES + header.tables * 4
    if not SECTOR_BYTES < start <= file_bytes or (header.directory != AT_END and directory_end > start):
        raise NotStreamable(_NOT_PLAIN.format("header"))
    text, mark, _ = head[SECTOR_BYTES : SECTOR_BYTES + _DESCRIPTOR_BYTES - 1].partition(b"\0")
    if not mark or not all(pattern.search(text) for pattern in (_TYPE, _CID, _NO_PARENT)):
        raise NotStreamable(_NOT_PLAIN.format("descriptor"))
    reason = vmdk.why_unusable(Content(len(head), lambda offset, length: head[offset : offset + length]))
    if reason is not None:
        raise NotStreamable(reason)
    if _PARENT_FILE in text:
        raise NotStreamable(_NOT_PLAIN.format("descriptor"))
    return header


def end_of(head: bytes, directory: int) -> bytes:
    """Return the last sectors of an image with this head: a marker, the header once more, and the mark of the end.

    directory: the sector of the grain directory, which this copy of the header tells.
    """
    footer = bytearray(head[:SECTOR_BYTES])
    _DIRECTORY.pack_into(footer, _DIRECTORY_AT, directory)
    return _marker_sector(1, FOOTER) + footer + _marker_sector(0, END)


def directory_of(end: bytes) -> int:
    """Return the sector of the grain directory that the last sectors of an image tell."""
    (directory,) = _DIRECTORY.unpack_from(end, SECTOR_BYTES + _DIRECTORY_AT)
    return int(directory)


def stand_in_end(head: bytes) -> bytes | None:
    """Return what an inspector may take for the last sectors of an image with this head.

    The reader compares the real ones, of which only the sector of the directory may be another. None if nothing at the
    end of the image says what it is. Raises NotStreamable.
    """
    if parse_header(head).directory != AT_END:
        return None
    return end_of(head, 1)


def _marker_sector(sectors: int, kind: int) -> bytes:
    return MARKER.pack(sectors, 0, kind).ljust(SECTOR_BYTES, b"\0")
