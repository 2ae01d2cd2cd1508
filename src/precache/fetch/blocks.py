"""Buffers for the data of an image: a fixed number of aligned blocks that are reused.

Blocks are aligned because the kernel requires it for direct I/O. Their small number bounds the memory of a transfer,
and slows a fast sender down to the speed of the slowest stage.
"""

from __future__ import annotations

import ctypes
from queue import SimpleQueue

BLOCK_BYTES = 1 << 20
"""Large enough that a system call and a thread switch cost little per byte; small enough to hold many in memory."""

ALIGNMENT_BYTES = 4096
"""An alignment that every disk and file system accepts for direct I/O; also the unit in which holes are found."""

_ZERO_GRAIN = bytes(ALIGNMENT_BYTES)


class Block:
    """One piece of an image: `length` bytes from `offset`, at the start of `view`. Used by one thread at a time."""

    __slots__ = ("_address", "_memory", "_start", "length", "offset", "view")

    def __init__(self, capacity_bytes: int = BLOCK_BYTES) -> None:
        """capacity_bytes: a multiple of the alignment."""
        # A bytearray, because its startswith() is a memcmp; a memoryview compares item by item.
        self._memory = bytearray(capacity_bytes + ALIGNMENT_BYTES)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._start = -self._address % ALIGNMENT_BYTES
        self.view = memoryview(self._memory)[self._start : self._start + capacity_bytes]
        self.offset = 0
        self.length = 0

    def is_zero_grain(self, start: int) -> bool:
        """Return whether the ALIGNMENT_BYTES bytes from `start` are all zero."""
        return self._memory.startswith(_ZERO_GRAIN, self._start + start)

    def offset_of(self, part: memoryview) -> int | None:
        """Return where in the block the part begins; None if it is other memory. part: not empty."""
        if part.obj is not self._memory:
            return None
        return ctypes.addressof(ctypes.c_char.from_buffer(part)) - self._address - self._start

    def pad(self) -> int:
        """Fill the block with zeros up to the next multiple of the alignment; return the new length."""
        padded = -(-self.length // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        self.view[self.length : padded] = _ZERO_GRAIN[: padded - self.length]
        return padded


BlockQueue = SimpleQueue[Block | None]
"""Passes blocks from one thread to the next; None means that no more follow. Bounded by the number of blocks."""


def new_pool(count: int) -> BlockQueue:
    """Return a queue with `count` free blocks."""
    pool: BlockQueue = SimpleQueue()
    for _ in range(count):
        pool.put(Block())
    return pool
