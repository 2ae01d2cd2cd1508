"""The walk over the file: markers, grains and tables, one after another from the first grain to the end.

Two layouts are common. VMware writes tables among the grains, and at the end a directory, a second header and a mark of
the end. qemu-img writes directory and tables before the first grain, and nothing or zeros after the last one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from precache.fetch.decoding.placements import (
    Action,
    Compression,
    Inflate,
    NotStreamable,
    Place,
    ReadSpilled,
    Spill,
    Truncated,
)
from precache.fetch.vmdk.checkpoint import Checkpoint, restore
from precache.fetch.vmdk.grains import SeenGrains, SpilledPieces, Tables
from precache.fetch.vmdk.header import (
    AT_END,
    DIRECTORY,
    END,
    FOOTER,
    MARKER,
    SECTOR_BYTES,
    TABLE,
    directory_of,
    end_of,
    read_head,
)

_GRAIN_MARKER = struct.Struct("<QI")
"""The sector on the disk and the length, both of the grain that follows at once."""

_LEAST_GRAIN_BYTES = 8  # two of a header, a block, four of a checksum

_DAMAGED = "a marker in it is damaged"
_OTHER_SIZE = "it does not have the size that was announced"
_OTHER_END = "its end does not agree with its header"


class VmdkReader:
    """The port `StreamReader`."""

    compression = Compression.ZLIB

    def __init__(self, head: bytes, file_bytes: int | None, read_spilled: ReadSpilled) -> None:
        """head: the first bytes of the file, with the whole descriptor. Raises NotStreamable."""
        if file_bytes is None:
            raise NotStreamable("its size is not known")
        self._header = read_head(head, file_bytes)
        self._first_sector = head[:SECTOR_BYTES]
        self._file_bytes = file_bytes
        self._read_spilled = read_spilled
        self._position = 0
        self._record = bytearray()
        """A marker, and the grain after it, until it is complete."""
        self._record_bytes = MARKER.size
        self._rest = self._header.first_grain * SECTOR_BYTES
        """How many bytes come before the next marker, and whether they are kept."""
        self._is_kept = True
        self._grains = SeenGrains()
        self._spilled = SpilledPieces()
        self._is_ended = False
        self._placed_up_to = 0
        self._restore()
        self._replayed_bytes = self._position
        """How much is fed once more after a pause: the side file has told what it says."""

    @property
    def disk_bytes(self) -> int:
        return self._header.disk_bytes

    @property
    def unit_bytes(self) -> int:
        return self._header.grain_bytes

    @property
    def placed_up_to(self) -> int:
        return self._placed_up_to

    def feed(self, data: memoryview) -> Iterator[Action]:
        replayed = min(self._replayed_bytes, len(data))
        self._replayed_bytes -= replayed
        data = data[replayed:]
        if self._position + len(data) > self._file_bytes:
            raise NotStreamable(_OTHER_SIZE)
        while data:
            if self._rest:
                part, data = data[: self._rest], data[self._rest :]
                if self._is_kept:
                    yield self._spill(part)
                self._position += len(part)
                self._rest -= len(part)
                continue
            if self._is_ended:
                raise NotStreamable(_OTHER_END)
            missing = self._record_bytes - len(self._record)
            part, data = data[:missing], data[missing:]
            self._record += part
            self._position += len(part)
            if len(part) == missing:
                yield from self._read_record()

    def held(self) -> Iterator[Spill]:
        checkpoint = Checkpoint(
            position=self._position,
            rest_bytes=self._rest,
            is_kept=self._is_kept,
            is_ended=self._is_ended,
            record=bytes(self._record),
            record_bytes=self._record_bytes,
            placed_up_to=self._placed_up_to,
            grains=len(self._grains),
            pieces=len(self._spilled),
            last_end=self._spilled.last_end,
        )
        return checkpoint.spills(self._file_bytes, self._grains, self._spilled)

    def finish(self) -> Iterator[Action]:
        if self._record or (self._rest and self._is_kept):
            raise Truncated
        if self._position != self._file_bytes:
            raise NotStreamable(_OTHER_SIZE)
        directory = self._header.directory
        if directory == AT_END:
            directory = self._read_footer()
        Tables(self._header, directory, self._spilled, self._read_spilled).check(self._grains)
        self._placed_up_to = self.disk_bytes
        return iter(())

    def _read_record(self) -> Iterator[Action]:
        if len(self._record) > MARKER.size:
            yield from self._read_grain()
            return
        value, length, kind = MARKER.unpack(self._record)
        if not length:
            yield from self._begin_metadata(value, kind)
        elif not _LEAST_GRAIN_BYTES <= length <= 2 * self._header.grain_bytes - _GRAIN_MARKER.size:
            raise NotStreamable(_DAMAGED)  # qemu reads no more than this
        else:
            self._record_bytes = _GRAIN_MARKER.size + length

    def _begin_metadata(self, sectors: int, kind: int) -> Iterator[Action]:
        end = self._position - MARKER.size + SECTOR_BYTES * (1 + sectors)
        is_plain = end <= self._file_bytes if kind in (TABLE, DIRECTORY, FOOTER) else kind == END and not sectors
        if not is_plain:
            raise NotStreamable(_DAMAGED)
        start = self._position - MARKER.size
        self._is_ended = kind == END
        self._spilled.add(start, self._position)
        yield Spill(start, memoryview(bytes(self._record)))
        if self._is_ended and self._header.directory != AT_END:
            self._next_record(rest=self._file_bytes - self._position, is_kept=False)
        else:
            self._next_record(rest=end - self._position, is_kept=True)

    def _read_grain(self) -> Iterator[Action]:
        sector, _ = _GRAIN_MARKER.unpack_from(self._record)
        number, odd = divmod(sector, self._header.grain_sectors)
        if odd or number >= self._header.grains:
            raise NotStreamable(_DAMAGED)
        start = self._position - len(self._record)
        self._grains.add(number, start // SECTOR_BYTES)
        grain_bytes = self._header.grain_bytes
        disk_offset = number * grain_bytes
        disk_bytes = min(grain_bytes, self.disk_bytes - disk_offset)
        record = bytes(self._record)
        data = record[_GRAIN_MARKER.size :]
        if disk_bytes == grain_bytes:
            yield Inflate(disk_offset, disk_bytes, grain_bytes, data)
        else:
            # Tools disagree on whether the last grain is filled up, so its length is not known.
            yield Place(disk_offset, memoryview(_expand(data, grain_bytes, disk_bytes)))
        self._placed_up_to = disk_offset + disk_bytes
        self._next_record(rest=-len(record) % SECTOR_BYTES, is_kept=False)

    def _next_record(self, *, rest: int, is_kept: bool) -> None:
        self._record.clear()
        self._record_bytes = MARKER.size
        self._rest, self._is_kept = rest, is_kept

    def _spill(self, part: memoryview) -> Spill:
        self._spilled.add(self._position, self._position + len(part))
        return Spill(self._position, part)

    def _restore(self) -> None:
        """Bring the reader to where it was at a pause, if the side file is from one. Raises NotStreamable."""
        kept = restore(self._file_bytes, self._read_spilled)
        if kept is None:
            return
        checkpoint, self._grains, self._spilled = kept
        self._position, self._rest = checkpoint.position, checkpoint.rest_bytes
        self._is_kept, self._is_ended = checkpoint.is_kept, checkpoint.is_ended
        self._record, self._record_bytes = bytearray(checkpoint.record), checkpoint.record_bytes
        self._placed_up_to = checkpoint.placed_up_to

    def _read_footer(self) -> int:
        """Return the sector of the directory, by the copy of the header at the end. Raises NotStreamable."""
        at = self._file_bytes - len(end_of(self._first_sector, 0))
        if not self._spilled.holds(at, self._file_bytes):
            raise NotStreamable(_OTHER_END)
        end = self._read_spilled(at, self._file_bytes - at)
        directory = directory_of(end)
        if directory == AT_END or end != end_of(self._first_sector, directory):
            raise NotStreamable(_OTHER_END)
        return directory


def _expand(data: bytes, most_bytes: int, needed_bytes: int) -> bytes:
    """Return the first `needed_bytes` of what the data expands to; at most `most_bytes` may come out."""
    state = zlib.decompressobj()
    try:
        expanded = state.decompress(data, most_bytes)
        excess = b"" if state.eof else state.decompress(state.unconsumed_tail, 1)
    except zlib.error as error:
        raise NotStreamable("its last grain is damaged") from error
    if excess or not state.eof or len(expanded) < needed_bytes:
        raise NotStreamable("its last grain is damaged")
    return expanded[:needed_bytes]
