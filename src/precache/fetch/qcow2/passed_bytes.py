"""What has become of the bytes that have gone by, as long as a table may still refer to them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from precache.fetch.decoding.placements import NotStreamable, Spill
from precache.fetch.qcow2.arrived import ArrivedBytes
from precache.rules.disk_formats.qcow2_layout import SECTOR_BYTES

_MOST_SECTORS = 4096


class PassedBytes:
    """All bytes are in the side file but for those that were dropped, because they belong to a known piece alone.

    The first and the last sector of a compressed piece may hold a part of another piece, whose table comes later. So
    these sectors are kept in the side file. A sector that two known pieces share is kept in memory: that is the usual
    case, and would be written for nothing. Only the last _MOST_SECTORS of these are kept.
    """

    __slots__ = ("_ends", "_most_ranges", "_sectors", "_spilled_to", "_starts")

    def __init__(self, most_ranges: int) -> None:
        """most_ranges: how many parts of the file may be dropped; those that touch are one."""
        self._most_ranges = most_ranges
        self._starts, self._ends = array("Q"), array("Q")
        self._sectors: dict[int, bytes] = {}
        self._spilled_to = 0
        """The end of the first sector of a compressed piece that shares it with no known one."""

    def drop(self, start: int, end: int) -> None:
        """Add a part of a piece. Parts come in the order of the file. Raises NotStreamable if there are too many."""
        if start >= end:
            return
        if self._ends and start <= self._ends[-1]:
            self._ends[-1] = max(self._ends[-1], end)
            return
        if len(self._ends) == self._most_ranges:
            raise NotStreamable("too many pieces")
        self._starts.append(start)
        self._ends.append(end)

    def add_compressed(
        self, start: int, end: int, position: int, next_start: int, arrived: ArrivedBytes
    ) -> Iterator[Spill]:
        """Add a compressed piece, and return which of its sectors must be in the side file.

        position: the end of what was added before; the piece shares a sector if it begins before this.
        next_start: of the next known piece.
        """
        last_sector = end - SECTOR_BYTES
        if start < position:
            start = position - SECTOR_BYTES
            if self._spilled_to < position <= last_sector:
                self._keep_in_memory(start, bytes(arrived.take(start, position)))
        else:
            self._spilled_to = -(-start // SECTOR_BYTES) * SECTOR_BYTES
            if start < self._spilled_to:
                yield Spill(start, arrived.take(start, self._spilled_to))
        self.drop(max(start, self._spilled_to), last_sector)
        if next_start >= end > self._spilled_to:
            start = max(last_sector, self._spilled_to)
            yield Spill(start, arrived.take(start, end))

    def add_cut(self, start: int, end: int, position: int) -> None:
        """Add a compressed piece that is cut by the end of the image, and is not in the side file."""
        self.drop(max(position - SECTOR_BYTES if start < position else start, self._spilled_to), end)

    def check_kept(self, start: int, end: int) -> None:
        """Raise NotStreamable if a byte from `start` to before `end` was dropped."""
        index = bisect_right(self._ends, start)
        if index < len(self._starts) and self._starts[index] < end:
            raise NotStreamable("bytes that are needed twice")

    def in_memory(self, start: int, end: int) -> bytes | None:
        """Return the bytes if they are within one sector that is in memory."""
        sector = start // SECTOR_BYTES * SECTOR_BYTES
        data = self._sectors.get(sector) if end <= sector + SECTOR_BYTES else None
        return None if data is None else data[start - sector : end - sector]

    def sectors(self) -> dict[int, bytes]:
        """Return the bytes of each sector that is in memory, by its offset."""
        return self._sectors.copy()

    def forget(self) -> None:
        """Forget everything, because no table is missing."""
        del self._starts[:], self._ends[:]
        self._sectors.clear()

    def _keep_in_memory(self, offset: int, sector: bytes) -> None:
        self._sectors[offset] = sector
        if len(self._sectors) > _MOST_SECTORS:
            del self._sectors[next(iter(self._sectors))]
