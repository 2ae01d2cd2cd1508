"""What has arrived of a download so far, for those who read it while it is still growing.

The writer appends blocks in order; any number of readers ask for ranges and wait until these are there. The latest
blocks are kept in memory, so that whoever reads close behind the writer never waits for the disk.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator

from precache.fetch.blocks import BLOCK_BYTES, Block, BlockQueue
from precache.fetch.sparse_file import SparseFile

KEPT_BLOCKS = 8
"""Covers what a converter that keeps pace asks for: it has up to eight requests under way."""


class Abandoned(Exception):
    """What somebody waits for will not come, because another part of the fetch has failed or was stopped.

    Never leaves this package: it is the failure behind it that is reported.
    """


class ArrivingFile:
    """A file of the size `size_bytes` (None if not announced) that grows from its start."""

    def __init__(self, *, file: SparseFile, size_bytes: int | None, free: BlockQueue) -> None:
        """file: where the blocks go, and stay readable. free: where blocks go back to."""
        self._file = file
        self._free = free
        self._size = size_bytes
        self._arrived = 0
        self._complete = False
        self._abandoned = False
        self._latest: deque[Block] = deque()
        self._changed = threading.Condition()

    @property
    def file(self) -> SparseFile:
        return self._file

    @property
    def arrived_bytes(self) -> int:
        return self._arrived

    @property
    def is_complete(self) -> bool:
        return self._complete

    def append(self, block: Block) -> None:
        """Write the next block; then readers may have it. The block belongs to this object from now on."""
        self._file.write(block)
        with self._changed:
            self._latest.append(block)
            self._arrived += block.length
            if len(self._latest) > KEPT_BLOCKS:
                self._free.put(self._latest.popleft())
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that no more will come and all is well."""
        self._file.finish(self._arrived)
        with self._changed:
            self._size = self._arrived
            self._complete = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Make everyone who waits, or will wait, end with Abandoned."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def wait_for_size(self) -> int:
        """Give the size, at once if it was announced, else at the end. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._size is not None or self._abandoned)
            return self._checked(self._size or 0)

    def wait_for_end(self) -> None:
        """Return when everything has arrived and was verified. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or self._abandoned)
            self._checked(0)

    def wait_for(self, end: int) -> int:
        """Wait until the bytes before `end` are there, or all that will ever come; give how many are.

        Raises Abandoned.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._arrived >= end or self._complete or self._abandoned)
            return self._checked(self._arrived)

    def copy_latest(self, offset: int, into: memoryview) -> bool:
        """Fill `into` from the blocks in memory; False, and nothing useful in it, if they do not hold all of it."""
        with self._changed:
            if not self._latest or offset < self._latest[0].offset:
                return False
            done = 0
            while done < len(into):
                position = offset + done
                index = (position - self._latest[0].offset) // BLOCK_BYTES
                if index >= len(self._latest):
                    return False
                block = self._latest[index]
                start = position - block.offset
                count = min(block.length - start, len(into) - done)
                if count <= 0:
                    return False
                into[done : done + count] = block.view[start : start + count]
                done += count
            return True

    def chunks(self, chunk_bytes: int) -> Iterator[bytes]:
        """Give the content from the start, as it comes. Raises Abandoned."""
        offset = 0
        with self._file.path.open("rb", buffering=0) as reader:
            while (end := min(self.wait_for(offset + chunk_bytes), offset + chunk_bytes)) > offset:
                chunk = bytearray(end - offset)
                if not self.copy_latest(offset, memoryview(chunk)):
                    # Holes past the last data are not in the file yet: what pread does not give is zero.
                    os.preadv(reader.fileno(), [chunk], offset)
                yield bytes(chunk)
                offset = end

    def _checked(self, value: int) -> int:
        if self._abandoned:
            raise Abandoned
        return value
