"""The parts of a stream that have gone by and are in no side file: they cannot be read a second time."""

from __future__ import annotations

from array import array
from bisect import bisect_right


class DroppedRanges:
    """Ranges in ascending order; those that touch are one."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts, self._ends = array("Q"), array("Q")

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Add a range that does not begin before the last one; an empty one is left out."""
        if start >= end:
            return
        if self._ends and start <= self._ends[-1]:
            self._ends[-1] = max(self._ends[-1], end)
        else:
            self._starts.append(start)
            self._ends.append(end)

    def overlaps(self, start: int, end: int) -> bool:
        """Return whether a byte from `start` to before `end` was dropped."""
        index = bisect_right(self._ends, start)
        return index < len(self._starts) and self._starts[index] < end
