"""The tables of a qcow2 as parts of the file: in which order they come, and which of them are to be read later."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import islice
from operator import add, lt

from precache.fetch.decoding.placements import NotStreamable
from precache.fetch.qcow2.entries import Pieces
from precache.fetch.qcow2.header import Header
from precache.fetch.qcow2.known_pieces import NEVER

OVERLAP = "clusters or tables that overlap"


class TableMap:
    """The first table, and the tables of the second level once this was read.

    missing: how many tables are not known yet; the first one counts until it was read.
    """

    __slots__ = ("_cluster", "_indices", "_l1_end", "_l1_start", "_next", "_starts", "is_l1_read", "missing")

    def __init__(self, header: Header) -> None:
        self._cluster = header.cluster_bytes
        self._l1_start, self._l1_end = header.l1_offset, header.l1_end
        self._indices, self._starts = array("I"), array("Q")
        self._next = 0
        self.is_l1_read = False
        self.missing = 1

    def add(self, offsets: array[int]) -> None:
        """Add the tables that the first table names. offsets: of each; 0 where there is none.

        Raises NotStreamable if two tables share a byte.
        """
        indices = array("I", (index for index, offset in enumerate(offsets) if offset))
        starts = array("Q", (offset for offset in offsets if offset))
        if not _ascends(starts):
            indices = array("I", sorted(indices, key=offsets.__getitem__))
            starts = array("Q", (offsets[index] for index in indices))
        self._indices, self._starts = indices, starts
        self.is_l1_read = True
        self.missing = len(starts)
        if not _ascends(starts) or self._overlaps_any(self._l1_start, self._l1_end):
            raise NotStreamable(OVERLAP)

    def next_start(self) -> int:
        """Return the file offset of the next table that was not taken; NEVER if there is none."""
        if not self.is_l1_read:
            return self._l1_start
        return self._starts[self._next] if self._next < len(self._starts) else NEVER

    def next_end(self) -> int:
        return self.next_start() + self._cluster if self.is_l1_read else self._l1_end

    def last_start(self) -> int:
        return self._starts[-1] if self._starts else 0

    def take(self) -> tuple[int, int]:
        """Return the offset of the next table and its index in the first table. It is not returned again."""
        at, self._next = self._next, self._next + 1
        return self._starts[at], self._indices[at]

    def check(self, pieces: Pieces) -> None:
        """Raise NotStreamable if a piece has a byte of the header or of a table."""
        if not pieces:
            return
        starts, lengths = pieces.file_offsets, pieces.lengths
        # Where nothing is in between, which is the rule, one look is enough.
        if not self._has(min(starts), max(map(add, starts, lengths))):
            return
        if any(map(self._has, starts, map(add, starts, lengths))):
            raise NotStreamable(OVERLAP)

    def _has(self, start: int, end: int) -> bool:
        if start < self._cluster or (start < self._l1_end and end > self._l1_start):
            return True
        return self._overlaps_any(start, end)

    def _overlaps_any(self, start: int, end: int) -> bool:
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and self._starts[at] < end:
            return True
        return at > 0 and self._starts[at - 1] + self._cluster > start


def _ascends(values: array[int]) -> bool:
    return all(map(lt, values, islice(values, 1, None)))


class WaitingTables:
    """Tables that have arrived while too many pieces were known: first in, first out."""

    __slots__ = ("_counts", "_indices", "_next", "_offsets")

    def __init__(self) -> None:
        self._offsets, self._indices, self._counts = array("Q"), array("I"), array("I")
        self._next = 0

    def __bool__(self) -> bool:
        return self._next < len(self._offsets)

    def add(self, offset: int, index: int, piece_count: int) -> None:
        self._offsets.append(offset)
        self._indices.append(index)
        self._counts.append(piece_count)

    @property
    def piece_count(self) -> int:
        """Return how many pieces the next one has."""
        return self._counts[self._next]

    def take(self) -> tuple[int, int]:
        """Return the offset of the next one and its index in the first table. It is not returned again."""
        at, self._next = self._next, self._next + 1
        return self._offsets[at], self._indices[at]
