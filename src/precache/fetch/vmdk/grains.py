"""The grains that were seen in the file, and whether the tables of the image agree.

qemu finds grains by the tables alone, and ignores the places that are told before them. So both must be the same.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator

from precache.fetch.decoding.placements import NotStreamable, ReadSpilled
from precache.fetch.vmdk.header import SECTOR_BYTES, TABLE_ENTRIES, Header

MOST_GRAINS = 2 << 20
"""128 GiB of data in grains of 64 KiB. Each takes 8 bytes of memory."""

MOST_PIECES = 1 << 16

_ENTRY = array("I")
_STORED_ZEROS = 1  # the entry of a grain that is zero
_DISAGREES = "its tables do not agree with the grains in the file"


class SeenGrains:
    """The grains in the order of the disk, which must be that of the file."""

    def __init__(self, numbers: array[int] | None = None, sectors: array[int] | None = None) -> None:
        """numbers, sectors: as of `columns`."""
        self._numbers, self._sectors = numbers or array("I"), sectors or array("I")

    def add(self, number: int, sector: int) -> None:
        """Note a grain: its number on the disk, its sector in the file. Raises NotStreamable."""
        if self._numbers and number <= self._numbers[-1]:
            raise NotStreamable("its grains are not in the order of the disk")
        if len(self._numbers) >= MOST_GRAINS or sector >= 1 << 32:
            raise NotStreamable("it has too many grains")
        self._numbers.append(number)
        self._sectors.append(sector)

    def __len__(self) -> int:
        return len(self._numbers)

    def columns(self, count: int) -> tuple[array[int], array[int]]:
        """Return the numbers and the sectors of the first `count` grains."""
        return self._numbers[:count], self._sectors[:count]

    def tables(self, count: int) -> Iterator[array[int]]:
        """Yield what each of `count` tables must contain: sectors, 0 where nothing was seen."""
        at = 0
        for table in range(count):
            expected = array("I", bytes(TABLE_ENTRIES * _ENTRY.itemsize))
            while at < len(self._numbers) and self._numbers[at] // TABLE_ENTRIES == table:
                expected[self._numbers[at] % TABLE_ENTRIES] = self._sectors[at]
                at += 1
            yield expected


class SpilledPieces:
    """Which parts of the file are in the side file. They are added in the order of the file."""

    def __init__(self, starts: array[int] | None = None, ends: array[int] | None = None) -> None:
        """starts, ends: as of `columns`."""
        self._starts, self._ends = starts or array("Q"), ends or array("Q")

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def last_end(self) -> int:
        return self._ends[-1] if self._ends else 0

    def columns(self, count: int, last_end: int) -> tuple[array[int], array[int]]:
        """Return where the first `count` pieces start and end, as of the time when the last one had this end."""
        ends = self._ends[:count]
        if ends:
            ends[-1] = last_end
        return self._starts[:count], ends

    def add(self, start: int, end: int) -> None:
        """Note the bytes from `start` to before `end`. Raises NotStreamable."""
        if self._ends and self._ends[-1] == start:
            self._ends[-1] = end
            return
        if len(self._starts) >= MOST_PIECES:
            raise NotStreamable("it has too many tables")
        self._starts.append(start)
        self._ends.append(end)

    def holds(self, start: int, end: int) -> bool:
        """Return whether all of these bytes are there."""
        piece = bisect_right(self._starts, start) - 1
        return piece >= 0 and end <= self._ends[piece]


class Tables:
    """The directory and the tables of the image, all in the side file."""

    def __init__(self, header: Header, directory: int, spilled: SpilledPieces, read: ReadSpilled) -> None:
        """directory: its sector."""
        self._header, self._directory, self._spilled, self._read = header, directory, spilled, read

    def check(self, grains: SeenGrains) -> None:
        """Raise NotStreamable unless they refer to these grains, and to nothing else."""
        directory = self._words(self._directory, self._header.tables)
        for number, (table, expected) in enumerate(zip(directory, grains.tables(len(directory)), strict=True)):
            used = min(self._header.grains - number * TABLE_ENTRIES, TABLE_ENTRIES)
            found = self._words(table, TABLE_ENTRIES)[:used] if table else array("I", bytes(4 * used))
            if self._header.has_zero_grains and _STORED_ZEROS in found:
                found = array("I", (0 if sector == _STORED_ZEROS else sector for sector in found))
            if found != expected[:used]:
                raise NotStreamable(_DISAGREES)

    def _words(self, sector: int, count: int) -> array[int]:
        start, length = sector * SECTOR_BYTES, count * _ENTRY.itemsize
        if not self._spilled.holds(start, start + length):
            raise NotStreamable("a table is not where tables can be")
        words = array("I", self._read(start, length))
        if sys.byteorder != "little":
            words.byteswap()
        return words
