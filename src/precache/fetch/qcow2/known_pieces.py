"""The pieces that are known and not placed yet: in the order of the file, and the first one in that of the disk."""

from __future__ import annotations

import heapq
from array import array
from itertools import islice
from operator import le

from precache.fetch.qcow2.entries import Pieces

_UNKNOWN, _KNOWN, _PLACED = range(3)

_TABLE_WEIGHT = 24
"""The memory of a table without its pieces, in pieces of 30 bytes."""

NEVER = 1 << 64
"""A file offset behind every piece."""


class KnownPieces:
    """Pieces of many tables.

    start, end: file offsets of the next piece in the order of the file; NEVER if none is known.
    disk_offset, is_compressed: of that piece.
    count: how many are known and not placed; each of their tables counts as _TABLE_WEIGHT pieces more.
    """

    __slots__ = (
        "_disk_bytes",
        "_first",
        "_heap",
        "_states",
        "_table_covers",
        "_tables",
        "count",
        "disk_offset",
        "end",
        "is_compressed",
        "start",
    )

    def __init__(self, *, table_count: int, table_covers: int, disk_bytes: int) -> None:
        """table_covers: how many bytes of the disk each table describes."""
        self._table_covers, self._disk_bytes = table_covers, disk_bytes
        self._states = bytearray(table_count)
        self._first = 0
        self._tables: dict[int, _Table] = {}
        self._heap: list[tuple[int, int]] = []
        self.count = 0
        self.start = self.end = NEVER
        self.disk_offset, self.is_compressed = 0, False

    def add(self, table: int, pieces: Pieces) -> None:
        """Add the pieces of a table that are not placed yet. table: its index in the first table."""
        if not pieces:
            self._states[table] = _PLACED
            return
        self._states[table] = _KNOWN
        self.count += len(pieces) + _TABLE_WEIGHT
        added = self._tables[table] = _Table(pieces)
        heapq.heappush(self._heap, (pieces.file_offsets[added.next()], table))
        self._see_next()

    def take(self) -> None:
        """Note that the next piece is placed; the one behind it is the next one then."""
        _, index = self._heap[0]
        table = self._tables[index]
        self.count -= 1
        if table.take():
            heapq.heapreplace(self._heap, (table.pieces.file_offsets[table.next()], index))
        else:
            heapq.heappop(self._heap)
            self.count -= _TABLE_WEIGHT
            del self._tables[index]
            self._states[index] = _PLACED
        self._see_next()

    def last_start(self) -> int:
        """Return the greatest file offset of the tables that have pieces which are not placed; 0 if all are."""
        return max((max(table.pieces.file_offsets) for table in self._tables.values()), default=0)

    def placed_up_to(self, position: int) -> int:
        """Return the disk offset before which everything is placed.

        position: a file offset; the bytes of the next piece before it are placed, unless it is compressed.
        """
        self._first = first = _find_other(self._states, _PLACED, self._first)
        if first == len(self._states):
            return self._disk_bytes
        if self._states[first] == _UNKNOWN:
            return first * self._table_covers
        table = self._tables[first]
        pieces, at = table.pieces, table.first_to_place()
        is_next = self._heap[0][1] == first and table.next() == at
        is_in_parts = is_next and not pieces.compressed[at]
        return pieces.disk_offsets[at] + (max(position - self.start, 0) if is_in_parts else 0)

    def _see_next(self) -> None:
        if not self._heap:
            self.start = self.end = NEVER
            return
        self.start, index = self._heap[0]
        table = self._tables[index]
        pieces, at = table.pieces, table.next()
        self.end = self.start + pieces.lengths[at]
        self.disk_offset = pieces.disk_offsets[at]
        self.is_compressed = bool(pieces.compressed[at])


class _Table:
    """The pieces of one table, and which of them are placed."""

    __slots__ = ("_first", "_is_placed", "_order", "_taken", "pieces")

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        offsets = pieces.file_offsets
        is_sorted = all(map(le, offsets, islice(offsets, 1, None)))
        self._order = None if is_sorted else array("I", sorted(range(len(pieces)), key=offsets.__getitem__))
        self._taken = 0
        self._is_placed = bytearray(len(pieces))
        self._first = 0

    def next(self) -> int:
        """Return the index of the next piece in the order of the file."""
        return self._taken if self._order is None else self._order[self._taken]

    def take(self) -> bool:
        """Note that the next piece is placed. Return whether there is a further one."""
        self._is_placed[self.next()] = True
        self._taken += 1
        return self._taken < len(self._is_placed)

    def first_to_place(self) -> int:
        """Return the index of the first piece of the disk that is not placed; there is one."""
        self._first = self._is_placed.index(False, self._first)
        return self._first


def _find_other(states: bytearray, state: int, start: int) -> int:
    """Return the index of the first element from `start` on that is another one; the length if there is none."""
    while start < len(states) and states[start] == state:
        start += 1
    return start
