"""What a reader of a disk format asks for while the image arrives: the words between formats and files.

A reader is pure: it is fed with the bytes of the image in the order of the file, and returns actions. The caller
executes each action before it asks for the next one. Offsets in the image are called file offsets, offsets in the raw
result are called disk offsets; all in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

LEAST_HEAD_BYTES = 64 << 10
"""How much of an image's start a reader is made from, or all of it. In a pause it is kept for the next reader."""


class Compression(Enum):
    """How a compressed cluster is coded. DEFLATE: bare, with a window of 4 KiB. ZLIB: with a header and a checksum."""

    DEFLATE = "deflate"
    ZLIB = "zlib"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Place:
    """Write the bytes to the disk as they are. data: valid until the next action is requested."""

    disk_offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Inflate:
    """Decompress one cluster, and write its first `disk_bytes` bytes to the disk.

    data: the compressed bytes, owned by the action; unrelated bytes may follow them.
    cluster_bytes: how many bytes must come out, no fewer and no more. disk_bytes: fewer at the end of the disk.
    """

    disk_offset: int
    disk_bytes: int
    cluster_bytes: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Spill:
    """Keep the bytes in the side file, at their own offset. data: valid until the next action is requested.

    Tables are always kept there, so that the reader can be fed from the side file after a pause.
    """

    file_offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class PlaceSpilled:
    """Write bytes of the side file to the disk as they are."""

    disk_offset: int
    file_offset: int
    length: int


@dataclass(frozen=True, slots=True)
class InflateSpilled:
    """Decompress one cluster whose bytes are in the side file; as `Inflate`."""

    disk_offset: int
    disk_bytes: int
    cluster_bytes: int
    file_offset: int
    length: int


Action = Place | Inflate | Spill | PlaceSpilled | InflateSpilled

ReadSpilled = Callable[[int, int], bytes]
"""Returns so many bytes of the side file from a file offset; zeros where nothing was kept."""


class NotStreamable(Exception):
    """The image cannot be decoded while it arrives; qemu-img must read it. Never leaves `fetch`.

    reason: in words, for the log and for the task.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Truncated(Exception):
    """The complete image refers to data beyond its end. Never leaves `fetch`."""


class StreamReader(Protocol):
    """Reads one image of one format. Used by one thread.

    Its decisions depend on the image's bytes of tables only, and not on how the bytes are cut into pieces: fed with the
    side file in place of the image, it comes to the same state.
    """

    @property
    def disk_bytes(self) -> int:
        """Return the exact size of the disk."""
        ...

    @property
    def unit_bytes(self) -> int:
        """Return a power of two that divides every disk offset.

        It divides every length, too, but for those at the end of the disk or of the image.
        """
        ...

    @property
    def compression(self) -> Compression: ...

    @property
    def placed_up_to(self) -> int:
        """Return the disk offset before which every action has been returned. It never becomes smaller."""
        ...

    def feed(self, data: memoryview) -> Iterator[Action]:
        """Return what to do with the next bytes of the image. Raises NotStreamable."""
        ...

    def held(self) -> Iterator[Spill]:
        """Return the bytes that have been fed and are still needed; after a pause they must be in the side file.

        They are those of the time of the call, also if more is fed before they are iterated. Called before each block,
        and seldom iterated: the call itself must be cheap.
        """
        ...

    def finish(self) -> Iterator[Action]:
        """Return what is left to do when the image is complete. Raises NotStreamable, Truncated."""
        ...
