"""Executes the actions of a stream reader in memory: what the disk becomes, and what is kept in the side file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

import zstandard

from precache.fetch.decoding.placements import (
    Action,
    Compression,
    Inflate,
    InflateSpilled,
    NotStreamable,
    Place,
    PlaceSpilled,
    ReadSpilled,
    Spill,
    StreamReader,
)

MakeReader = Callable[[bytes, int, ReadSpilled], StreamReader]

_HEAD_BYTES = 64 << 10


class SideFile:
    """Bytes that were kept at their own offsets. spilled_bytes: how many were kept, repeated ones counted again."""

    def __init__(self, size_bytes: int) -> None:
        self.content = bytearray(size_bytes)
        self.spilled_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length]).ljust(length, b"\0")

    def write(self, offset: int, data: memoryview) -> None:
        self.content[offset : offset + len(data)] = data
        self.spilled_bytes += len(data)


class Decoding:
    """One image that is decoded while it is fed, block by block; checks what readers promise of their actions.

    disk: what was placed so far.
    """

    def __init__(self, make_reader: MakeReader, head: bytes, file_bytes: int, side: SideFile | None = None) -> None:
        self.side = side or SideFile(file_bytes)
        self.reader = make_reader(head, file_bytes, self.side.read)
        self.disk = bytearray(self.reader.disk_bytes)
        self.placed: list[tuple[int, int]] = []
        """Start and end of each part of the disk that was placed, in the order of the actions."""
        self._placed_up_to = 0

    def feed(self, block: bytes) -> None:
        self._execute(self.reader.feed(memoryview(block)))

    def finish(self) -> None:
        self._execute(self.reader.finish())

    def replay(self, kept: bytes, block_bytes: int = 1 << 20) -> None:
        """Bring a new reader to the state of the one that was fed with the first bytes of the image.

        kept: the side file as far as this; the actions are not executed, for that was done.
        """
        for start in range(0, len(kept), block_bytes):
            for _ in self.reader.feed(memoryview(kept)[start : start + block_bytes]):
                pass

    def _execute(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._execute_one(action)
            placed_up_to = self.reader.placed_up_to
            assert placed_up_to >= self._placed_up_to
            self._placed_up_to = placed_up_to

    def _execute_one(self, action: Action) -> None:
        match action:
            case Spill(file_offset, data):
                self.side.write(file_offset, data)
            case Place(disk_offset, data):
                self._write(disk_offset, bytes(data))
            case PlaceSpilled(disk_offset, file_offset, length):
                self._write(disk_offset, self.side.read(file_offset, length))
            case Inflate(disk_offset, disk_bytes, cluster_bytes, data):
                self._write(disk_offset, inflate(data, cluster_bytes, self.reader.compression)[:disk_bytes])
            case InflateSpilled(disk_offset, disk_bytes, cluster_bytes, file_offset, length):
                data = self.side.read(file_offset, length)
                self._write(disk_offset, inflate(data, cluster_bytes, self.reader.compression)[:disk_bytes])

    def _write(self, disk_offset: int, data: bytes) -> None:
        end = disk_offset + len(data)
        assert disk_offset >= self._placed_up_to, "a part that was said to be placed"
        assert data
        assert disk_offset % self.reader.unit_bytes == 0
        assert end <= len(self.disk)
        assert end % self.reader.unit_bytes == 0 or end == len(self.disk) or self._is_at_the_end_of_the_file(data)
        self.disk[disk_offset:end] = data
        self.placed.append((disk_offset, end))

    def _is_at_the_end_of_the_file(self, data: bytes) -> bool:
        return len(self.side.content) % self.reader.unit_bytes == len(data) % self.reader.unit_bytes


def decode(make_reader: MakeReader, image: bytes, block_bytes: int = 1 << 20) -> Decoding:
    """Return the decoding of a whole image. Raises NotStreamable, Truncated."""
    decoding = Decoding(make_reader, image[:_HEAD_BYTES], len(image))
    for start in range(0, len(image), block_bytes):
        decoding.feed(image[start : start + block_bytes])
    decoding.finish()
    return decoding


def inflate(data: bytes, cluster_bytes: int, compression: Compression) -> bytes:
    """Return exactly one cluster. Raises NotStreamable if there is less or more of it, as qemu refuses it."""
    try:
        if compression is Compression.ZSTD:
            cluster = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        else:
            window = -12 if compression is Compression.DEFLATE else 15
            cluster = zlib.decompressobj(window).decompress(data, cluster_bytes)
    except (zlib.error, zstandard.ZstdError) as error:
        raise NotStreamable(f"a cluster that does not inflate: {error}") from error
    if len(cluster) != cluster_bytes:
        raise NotStreamable(f"a cluster of {len(cluster)} bytes")
    return cluster
