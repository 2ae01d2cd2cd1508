"""Reads ranges of a growing download: from memory if they have just arrived, else from the disk.

A file that was written past the page cache is read past it as well, in aligned pieces: the kernel's read-ahead
would otherwise keep pages of places that are yet to be written. What read-ahead gives to small reads, as a
compressed image causes them, a handful of whole blocks gives here.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator

from precache.fetch.arriving_file import ArrivingFile
from precache.fetch.blocks import ALIGNMENT_BYTES, BLOCK_BYTES, Block

_KEPT_BLOCKS = 12
"""A converter reads at up to eight places at once; each has its block, with some to spare for tables."""

_SMALL_BYTES = 64 << 10
"""Shorter reads go through whole blocks: more of the same block will be asked for. An uncompressed cluster is not
shorter, and is read alone."""


class RangeReader:
    """For one thread. Use as a context manager."""

    def __init__(self, arriving: ArrivingFile) -> None:
        self._arriving = arriving
        direct = os.O_DIRECT if arriving.file.is_direct else 0
        self._fd = os.open(arriving.file.path, os.O_RDONLY | os.O_CLOEXEC | direct)
        self._piece = Block()
        self._kept: OrderedDict[int, Block] = OrderedDict()

    def __enter__(self) -> RangeReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def pieces(self, offset: int, length: int) -> Iterator[memoryview]:
        """Give the bytes from `offset`, in pieces that are valid until the next one, each as soon as it is there.

        What lies behind the end of the file is zero. Raises Abandoned.
        """
        is_small = length < _SMALL_BYTES
        while length:
            count = min(length, BLOCK_BYTES - offset % BLOCK_BYTES)
            self._arriving.wait_for(offset + count)
            piece = self._piece.view[:count]
            if self._arriving.copy_latest(offset, piece):
                yield piece
            elif is_small:
                yield self._from_block(offset, count)
            else:
                yield self._from_disk(self._piece, offset, count)
            offset, length = offset + count, length - count

    def _from_block(self, offset: int, count: int) -> memoryview:
        start = offset - offset % BLOCK_BYTES
        block = self._kept.get(start)
        if block is None or block.length < offset + count - start:
            block = block or self._oldest_or_new()
            arrived = self._arriving.wait_for(0)
            block.offset, block.length = start, min(arrived - start, BLOCK_BYTES)
            self._from_disk(block, start, block.length)
            self._kept[start] = block
        self._kept.move_to_end(start)
        return block.view[offset - start : offset - start + count]

    def _oldest_or_new(self) -> Block:
        if len(self._kept) < _KEPT_BLOCKS:
            return Block()
        return self._kept.popitem(last=False)[1]

    def _from_disk(self, block: Block, offset: int, count: int) -> memoryview:
        """Read into the block's start; the part that the file does not have yet is a hole, hence zero."""
        lead = offset % ALIGNMENT_BYTES
        wanted = -(-(lead + count) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        got = 0
        while got < wanted:
            read = os.preadv(self._fd, [block.view[got:wanted]], offset - lead + got)
            got += read
            if read == 0 or read % ALIGNMENT_BYTES:
                break
        block.view[got:wanted] = bytes(wanted - got)
        return block.view[lead : lead + count]
