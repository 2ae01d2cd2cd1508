"""Memory in which image bytes travel: a fixed number of aligned blocks, used again and again.

Blocks are aligned because the kernel demands it for direct I/O. That there are few of them is what bounds the
memory of a transfer, and what slows a fast sender down to the pace of the slowest stage.
"""

from __future__ import annotations

import ctypes
from queue import SimpleQueue

BLOCK_BYTES = 1 << 20
"""Large enough that a system call and a change of thread cost little per byte, small enough to keep many."""

ALIGNMENT_BYTES = 4096
"""What every disk and file system is content with for direct I/O; also the grain in which holes are found."""

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_ZERO_GRAIN = bytes(ALIGNMENT_BYTES)


class Block:
    """One piece of an image: `length` bytes from `offset`, at the start of `view`. Used by one thread at a time."""

    __slots__ = ("_memory", "_start", "length", "offset", "view")

    def __init__(self) -> None:
        # A bytearray, for its startswith() is a memcmp; a memoryview compares item by item.
        self._memory = bytearray(BLOCK_BYTES + ALIGNMENT_BYTES)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._start = -address % ALIGNMENT_BYTES
        self.view = memoryview(self._memory)[self._start : self._start + BLOCK_BYTES]
        self.offset = 0
        self.length = 0

    def is_zero(self) -> bool:
        """Return whether all of it is zero; only for a block that is full or padded."""
        return self._memory.startswith(_ZERO_BLOCK[: self._padded()], self._start)

    def is_zero_grain(self, start: int) -> bool:
        """Return whether the bytes from `start`, as many as the alignment, are all zero."""
        return self._memory.startswith(_ZERO_GRAIN, self._start + start)

    def pad(self) -> int:
        """Fill up with zeros to the next multiple of the alignment and return the length then."""
        padded = self._padded()
        self.view[self.length : padded] = _ZERO_GRAIN[: padded - self.length]
        return padded

    def _padded(self) -> int:
        return -(-self.length // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


BlockQueue = SimpleQueue[Block | None]
"""Hands blocks from one thread to the next; None means that no more come. Bounded, since blocks are few."""


def new_pool(count: int) -> BlockQueue:
    """Return a queue with `count` free blocks."""
    pool: BlockQueue = SimpleQueue()
    for _ in range(count):
        pool.put(Block())
    return pool
