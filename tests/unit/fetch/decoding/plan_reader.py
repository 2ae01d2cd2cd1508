"""A reader that follows a plan: the image is a series of pieces, each with what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from precache.fetch.decoding.placements import (
    Action,
    Compression,
    Inflate,
    InflateSpilled,
    Place,
    PlaceSpilled,
    ReadSpilled,
    Spill,
)


@dataclass(frozen=True)
class Piece:
    """data: so many bytes of the image. disk_offset: where they go; None for a table, which is only spilled.

    is_late: the place is known at the end only. cluster_bytes: how many bytes the data expands to; 0 if it is plain.
    """

    data: bytes
    disk_offset: int | None = None
    cluster_bytes: int = 0
    is_late: bool = False


@dataclass
class PlanReader:
    """The port `StreamReader`. Plain pieces are placed unit by unit, as they arrive; others when they are whole."""

    pieces: list[Piece]
    disk_bytes: int
    unit_bytes: int = 512
    compression: Compression = Compression.DEFLATE
    read_spilled: ReadSpilled | None = None
    failure: Exception | None = None
    placed_up_to: int = 0
    tables: list[bytes] = field(default_factory=list)
    _fed: int = 0
    _held: bytes = b""

    def reading(self, read_spilled: ReadSpilled) -> Self:
        """Return this reader, which checks its tables in the side file."""
        self.read_spilled = read_spilled
        return self

    @property
    def image(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    def feed(self, data: memoryview) -> Iterator[Action]:
        start = 0
        for piece in self.pieces:
            end = start + len(piece.data)
            if start < self._fed + len(data) and end > self._fed:
                yield from self._feed_piece(piece, start, data)
            start = end
        self._fed += len(data)

    def _feed_piece(self, piece: Piece, start: int, data: memoryview) -> Iterator[Action]:
        first, last = max(start, self._fed), min(start + len(piece.data), self._fed + len(data))
        part = data[first - self._fed : last - self._fed]
        is_whole = last == start + len(piece.data)
        if piece.is_late or piece.disk_offset is None:
            yield Spill(first, part)
            if piece.disk_offset is None and is_whole and self.read_spilled:
                self.tables.append(self.read_spilled(start, len(piece.data)))
                assert self.tables[-1] == piece.data
        elif piece.cluster_bytes:
            self._held += bytes(part)
            if is_whole:
                yield self._inflate(piece, self._take_held())
        else:
            yield from self._place(piece, start, first, part, is_whole)

    def _place(self, piece: Piece, start: int, first: int, part: memoryview, is_whole: bool) -> Iterator[Action]:
        assert piece.disk_offset is not None
        place = piece.disk_offset + first - len(self._held) - start
        if len(self._held) + len(part) < self.unit_bytes and not is_whole:
            self._held += bytes(part)
            return
        if self._held:
            rest = -len(self._held) % self.unit_bytes
            head, part = self._take_held() + bytes(part[:rest]), part[rest:]
            yield Place(place, memoryview(head))
            place += len(head)
        whole = len(part) if is_whole else len(part) // self.unit_bytes * self.unit_bytes
        if whole:
            yield Place(place, part[:whole])
        self._held = bytes(part[whole:])

    def held(self) -> Iterator[Spill]:
        return iter([Spill(self._fed - len(self._held), memoryview(self._held))] if self._held else [])

    def finish(self) -> Iterator[Action]:
        if self.failure:
            raise self.failure
        start = 0
        for piece in self.pieces:
            if piece.is_late and piece.disk_offset is not None:
                if piece.cluster_bytes:
                    count = min(piece.cluster_bytes, self.disk_bytes - piece.disk_offset)
                    yield InflateSpilled(piece.disk_offset, count, piece.cluster_bytes, start, len(piece.data))
                else:
                    yield PlaceSpilled(piece.disk_offset, start, len(piece.data))
            start += len(piece.data)

    def _inflate(self, piece: Piece, data: bytes) -> Inflate:
        assert piece.disk_offset is not None
        count = min(piece.cluster_bytes, self.disk_bytes - piece.disk_offset)
        return Inflate(piece.disk_offset, count, piece.cluster_bytes, data)

    def _take_held(self) -> bytes:
        held, self._held = self._held, b""
        return held
