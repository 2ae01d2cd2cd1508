"""The bytes of an image, for the readers of its tables."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PIECE_BYTES = 1 << 20
"""Tables are read in pieces of this size, so that a large one needs little memory."""


@dataclass(frozen=True, slots=True)
class Content:
    """An image of `size_bytes`. read: returns the bytes at an offset; offset and length must be within the image."""

    size_bytes: int
    read: Callable[[int, int], bytes]

    def take(self, offset: int, length: int) -> bytes:
        """Return `length` bytes; what lies behind the end is zero."""
        inside = max(min(length, self.size_bytes - offset), 0)
        return (self.read(offset, inside) if inside else b"").ljust(length, b"\0")

    def words(self, offset: int, count: int, kind: str, byte_order: str) -> Iterator[array[int]]:
        """Yield a table of `count` numbers piece by piece, as far as it is within the image.

        kind: `I` for 32 bits, `Q` for 64. byte_order: `big` or `little`.
        """
        width = array(kind).itemsize
        inside = max(min(count * width, self.size_bytes - offset), 0) // width * width
        for start in range(0, inside, PIECE_BYTES):
            piece = array(kind, self.read(offset + start, min(PIECE_BYTES, inside - start)))
            if byte_order != sys.byteorder:
                piece.byteswap()
            yield piece
