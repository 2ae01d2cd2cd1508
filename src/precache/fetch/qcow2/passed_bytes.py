"""What has become of the bytes that have gone by, as long as a table may still refer to them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from precache.rules.disk_formats.qcow2_layout import SECTOR_BYTES

_MOST_SECTORS = 4096


class PassedBytes:
    """All bytes are in the side file but for those that were dropped: which went to the disk alone, or nowhere.

    Of the dropped bytes, the last sectors that compressed pieces share are in memory: there may be a small piece
    between the two, whose table comes later.
    """

    __slots__ = ("_ends", "_sectors", "_starts")

    def __init__(self) -> None:
        self._starts, self._ends = array("Q"), array("Q")
        self._sectors: dict[int, bytes] = {}

    @property
    def dropped_ranges(self) -> int:
        """Return how many ranges were dropped; those that touch are one."""
        return len(self._starts)

    def drop(self, start: int, end: int) -> None:
        """Add a range that does not begin before the last one; an empty one is left out."""
        if start >= end:
            return
        if self._ends and start <= self._ends[-1]:
            self._ends[-1] = max(self._ends[-1], end)
        else:
            self._starts.append(start)
            self._ends.append(end)

    def keep_sector(self, offset: int, data: bytes) -> None:
        """Keep a shared sector in memory, and forget the oldest one if there are too many."""
        self._sectors[offset] = data
        if len(self._sectors) > _MOST_SECTORS:
            del self._sectors[next(iter(self._sectors))]

    def is_dropped(self, start: int, end: int) -> bool:
        """Return whether a byte from `start` to before `end` was dropped."""
        index = bisect_right(self._ends, start)
        return index < len(self._starts) and self._starts[index] < end

    def in_memory(self, start: int, end: int) -> bytes | None:
        """Return the bytes if they are within one sector that is in memory."""
        sector = start // SECTOR_BYTES * SECTOR_BYTES
        data = self._sectors.get(sector) if end <= sector + SECTOR_BYTES else None
        return None if data is None else data[start - sector : end - sector]

    def sectors(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the bytes of each sector that is in memory."""
        yield from self._sectors.items()

    def forget(self) -> None:
        """Forget everything, because no table is missing."""
        del self._starts[:], self._ends[:]
        self._sectors.clear()
