"""Pieces of the disk that must be put together before they are written: small, compressed, or in the side file.

A window is one MiB of the disk. Most images have the clusters of a window side by side, so that it is soon full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.decoding.placements import Inflate, InflateSpilled, PlaceSpilled

_MOST_OPEN = 8
"""Windows that wait for more pieces; more than one, because tools with several writers shuffle clusters."""


@dataclass(frozen=True, slots=True)
class PlaceCopy:
    """Write the bytes to the disk as they are."""

    disk_offset: int
    data: bytes


Piece = PlaceCopy | PlaceSpilled | Inflate | InflateSpilled


@dataclass(slots=True)
class Window:
    """Pieces between `start` and start + span_bytes on the disk. No two overlap; there may be gaps."""

    start: int
    span_bytes: int
    pieces: list[Piece] = field(default_factory=list)
    filled_bytes: int = 0
    first_offset: int = 0
    """The smallest disk offset of its pieces."""

    def add(self, piece: Piece) -> None:
        self.first_offset = min(self.first_offset, piece.disk_offset) if self.pieces else piece.disk_offset
        self.pieces.append(piece)
        self.filled_bytes += length_of(piece)

    @property
    def is_full(self) -> bool:
        return self.filled_bytes >= self.span_bytes


class OpenWindows:
    """The windows that are not full yet. For one thread."""

    def __init__(self, close: Callable[[Window], None], check: Callable[[], None]) -> None:
        """close: takes each window that is full, or that no piece was added to for long.

        check: called before each part of a piece, which may be gigabytes. What it raises changes no window.
        """
        self._close, self._check = close, check
        self._open: dict[int, Window] = {}
        self._recent: set[int] = set()

    def add(self, piece: Piece) -> None:
        for part in _parts(piece):
            self._check()
            self._add(part)

    def end_block(self) -> None:
        """Close the windows that no piece was added to since the last call: nothing more may come for them."""
        for start in [start for start in self._open if start not in self._recent]:
            self._close(self._open.pop(start))
        self._recent.clear()

    def close_all(self) -> None:
        while self._open:
            self._close(self._open.pop(next(iter(self._open))))

    def first_offset(self, end: int) -> int:
        """Return the smallest disk offset of all pieces, at most `end`."""
        return min([end, *(window.first_offset for window in self._open.values())])

    def _add(self, piece: Piece) -> None:
        span = max(BLOCK_BYTES, _cluster_bytes(piece))
        start = piece.disk_offset // span * span
        window = self._open.pop(start, None) or Window(start, span)
        window.add(piece)
        self._recent.add(start)
        if window.is_full:
            self._close(window)
            return
        self._open[start] = window  # the last one: the one that waits longest is the first one
        if len(self._open) > _MOST_OPEN:
            self._close(self._open.pop(next(iter(self._open))))


def length_of(piece: Piece) -> int:
    """Return how many bytes of the disk the piece fills."""
    if isinstance(piece, PlaceCopy):
        return len(piece.data)
    return piece.length if isinstance(piece, PlaceSpilled) else piece.disk_bytes


def _cluster_bytes(piece: Piece) -> int:
    return piece.cluster_bytes if isinstance(piece, Inflate | InflateSpilled) else 0


def _parts(piece: Piece) -> Iterator[Piece]:
    """Return the piece, cut at the ends of windows; a cluster that is expanded lies in one window."""
    if isinstance(piece, Inflate | InflateSpilled):
        yield piece
        return
    done, length = 0, length_of(piece)
    while done < length:
        disk_offset = piece.disk_offset + done
        count = min(length - done, BLOCK_BYTES - disk_offset % BLOCK_BYTES)
        if isinstance(piece, PlaceCopy):
            yield PlaceCopy(disk_offset, piece.data[done : done + count])
        else:
            yield PlaceSpilled(disk_offset, piece.file_offset + done, count)
        done += count
