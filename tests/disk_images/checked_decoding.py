"""Executes the actions of a stream reader in memory, and checks everything that one action can do wrong.

An action is allowed if it is within the disk and the file, writes no byte of the disk that was written before or that
was said to be complete, and reads from the side file only what was put there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.decoding.inflaters import new_inflater
from precache.fetch.decoding.placements import (
    Action,
    Inflate,
    InflateSpilled,
    Place,
    PlaceSpilled,
    ReadSpilled,
    Spill,
    StreamReader,
)

_HEAD_BYTES = 64 << 10

MOST_STORED_BYTES = 64 << 20
"""The content of a larger disk is not kept. Its actions are checked all the same."""

MakeReader = Callable[[bytes, int, ReadSpilled], StreamReader]
"""Makes a reader from the first bytes of an image, its size and the side file. Raises NotStreamable."""


class SideFile:
    """The side file in memory: what was put there, in pages."""

    def __init__(self, size: int) -> None:
        self._content = bytearray(size)
        self._is_kept = bytearray(size)
        self.kept_bytes = 0

    def put(self, spill: Spill) -> None:
        start, end = spill.file_offset, spill.file_offset + len(spill.data)
        assert 0 <= start < end <= len(self._content), "kept beyond the end of the file"
        self.kept_bytes += self._is_kept[start:end].count(0)
        self._content[start:end] = spill.data
        self._is_kept[start:end] = b"\1" * len(spill.data)

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        return bytes(self._content[offset : offset + length]).ljust(length, b"\0")

    def has(self, start: int, end: int) -> bool:
        """Return whether all was kept between two places, as far as the file goes."""
        return 0 not in self._is_kept[start:end]


@dataclass(frozen=True, slots=True)
class Decoded:
    """disk: the content; None if the disk is larger than what is stored. spilled_bytes: of the file, each counted once.

    written_bytes: of the disk; the rest are holes. actions: how many there were.
    """

    disk: bytes | None
    disk_bytes: int
    spilled_bytes: int
    written_bytes: int
    actions: int


class CheckedDecoding:
    """One image that is decoded. `feed` and `finish` as those of the reader, with the actions executed."""

    def __init__(self, make_reader: MakeReader, image: bytes) -> None:
        self._make_reader, self._image = make_reader, image
        self.side = SideFile(len(image))
        self.reader = make_reader(image[:_HEAD_BYTES], len(image), self.side.read)
        self._inflater = new_inflater(self.reader.compression)
        self._size = self.reader.disk_bytes
        self._unit = self.reader.unit_bytes
        assert self._unit & (self._unit - 1) == 0
        self.disk = bytearray(self._size if self._size <= MOST_STORED_BYTES else 0)
        self._written: set[int] = set()
        self._written_bytes, self._actions, self._placed_up_to = 0, 0, 0
        self.fed_bytes = 0

    def feed(self, length: int) -> None:
        """Feed the next bytes of the image."""
        block = bytearray(self._image[self.fed_bytes : self.fed_bytes + length])
        self.fed_bytes += len(block)
        self._execute(self.reader.feed(memoryview(block)))
        block[:] = b"\xaa" * len(block)  # as the next one is received into the same memory

    def finish(self) -> Decoded:
        self._execute(self.reader.finish())
        assert self.reader.placed_up_to == self._size
        disk = bytes(self.disk) if len(self.disk) == self._size else None
        return Decoded(disk, self._size, self.side.kept_bytes, self._written_bytes, self._actions)

    def replace_reader(self, block_bytes: int = BLOCK_BYTES) -> None:
        """Go on with a new reader that is fed with the side file alone, as after a pause."""
        for spill in self.reader.held():
            self.side.put(spill)
        placed_up_to = self.reader.placed_up_to
        self.reader = self._make_reader(self._image[:_HEAD_BYTES], len(self._image), self.side.read)
        for start in range(0, self.fed_bytes, block_bytes):
            data = self.side.read(start, min(block_bytes, self.fed_bytes - start))
            for _ in self.reader.feed(memoryview(data)):
                pass
        assert self.reader.placed_up_to == placed_up_to, "another state than before the pause"

    def _execute(self, actions: Iterator[Action] | Iterable[Action]) -> None:
        for action in actions:
            self._actions += 1
            # Each action tells of another part of the disk or of the file.
            assert self._actions <= len(self._image) // 4 + 4096, "too many actions"
            self._execute_one(action)
            assert self._placed_up_to <= self.reader.placed_up_to <= self._size
            self._placed_up_to = self.reader.placed_up_to

    def _execute_one(self, action: Action) -> None:
        if isinstance(action, Spill):
            assert action.file_offset + len(action.data) <= self.fed_bytes, "kept before it arrived"
            self.side.put(action)
        elif isinstance(action, Place):
            self._write(action.disk_offset, bytes(action.data))
        elif isinstance(action, PlaceSpilled):
            self._check_spilled(action.file_offset, action.length)
            self._write(action.disk_offset, self.side.read(action.file_offset, action.length))
        else:
            self._inflate(action)

    def _check_spilled(self, start: int, length: int) -> None:
        assert 0 <= start < len(self._image), "read behind the end of the file"
        assert start + length <= -(-len(self._image) // 512) * 512 or length <= 4 << 20
        assert self.side.has(start, min(start + length, self.fed_bytes)), "read what was not kept"

    def _inflate(self, action: Inflate | InflateSpilled) -> None:
        assert 0 < action.disk_bytes <= action.cluster_bytes <= 1 << 21
        if isinstance(action, InflateSpilled):
            self._check_spilled(action.file_offset, action.length)
            data = self.side.read(action.file_offset, action.length)
        else:
            data = action.data
        assert len(data) <= 2 * action.cluster_bytes + 512
        content = self._inflater(data, action.cluster_bytes)
        self._write(action.disk_offset, content[: action.disk_bytes])

    def _write(self, start: int, content: bytes) -> None:
        end = start + len(content)
        assert content, "an action without bytes"
        assert start % self._unit == 0
        assert end <= self._size, "written beyond the end of the disk"
        # The last cluster of a file may be cut.
        assert end % self._unit == 0 or end == self._size or self.fed_bytes == len(self._image)
        units = range(start // self._unit, -(-end // self._unit))
        assert self._written.isdisjoint(units), "written twice"
        assert start >= self._placed_up_to, "written where all was said to be complete"
        self._written.update(units)
        self._written_bytes += len(content)
        if self.disk:
            self.disk[start:end] = content


def decode_checked(make_reader: MakeReader, image: bytes, block_bytes: int = BLOCK_BYTES) -> Decoded:
    """Return what the reader makes of an image that arrives in blocks of this length.

    Raises NotStreamable, Truncated; AssertionError if an action is not allowed.
    """
    decoding = CheckedDecoding(make_reader, image)
    while decoding.fed_bytes < len(image):
        decoding.feed(block_bytes)
    return decoding.finish()
