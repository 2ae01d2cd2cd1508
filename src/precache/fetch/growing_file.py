"""The part of a download that has arrived, for threads that read it while it grows.

The writer appends blocks in order; any number of readers ask for ranges and wait until these are there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from precache.fetch.blocks import Block
from precache.fetch.final_parts import FinalParts
from precache.fetch.sparse_file import SparseFile


class Abandoned(Exception):
    """The awaited bytes will not arrive, because another part of the fetch has failed or was stopped.

    Never leaves this package: the failure of the other part is reported instead.
    """


class GrowingFile:
    """The port `BlockSink`: a file of the size `size_bytes` (None if not announced) that grows from its start."""

    def __init__(self, *, file: SparseFile, size_bytes: int | None, final_parts: FinalParts | None = None) -> None:
        """file: the blocks are written to it and can be read from it. final_parts: told of what arrives."""
        self._file = file
        self._size = size_bytes
        self._final_parts = final_parts
        self._is_announced = False
        self._arrived = 0
        self._complete = False
        self._abandoned = False
        self._changed = threading.Condition()

    @property
    def arrived_bytes(self) -> int:
        return self._arrived

    @property
    def is_complete(self) -> bool:
        return self._complete

    def append(self, block: Block, *, is_written: bool = False) -> None:
        """Write the next block, unless the file has it, and wake the readers. Then the caller may reuse the block."""
        if not is_written:
            self._file.write(block)
        with self._changed:
            self._arrived += block.length
            self._changed.notify_all()
        if self._final_parts is not None and self._size is not None:
            self._announce(self._final_parts, min(self._arrived, self._size - 1))  # complete only after `finish`

    def finish(self) -> None:
        """Mark the download as complete and verified."""
        self._file.finish(self._arrived)
        with self._changed:
            self._size = self._arrived
            self._complete = True
            self._changed.notify_all()
        if self._final_parts is not None:
            self._announce(self._final_parts, self._arrived)

    def abandon(self) -> None:
        """Make every present and later wait end with Abandoned."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def wait_for_size(self) -> int:
        """Return the size: at once if it was announced, else when the download has ended. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._size is not None or self._abandoned)
            return self._checked(self._size or 0)

    def wait_for_end(self) -> None:
        """Return when everything has arrived and was verified. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or self._abandoned)
            self._checked(0)

    def wait_for(self, end: int) -> int:
        """Wait until the bytes before `end` have arrived, or the download is complete; return how many bytes there are.

        Raises Abandoned.
        """
        if self._arrived >= end and not self._abandoned:
            return self._arrived  # the usual case, without the lock
        with self._changed:
            self._changed.wait_for(lambda: self._arrived >= end or self._complete or self._abandoned)
            return self._checked(self._arrived)

    def open_reader(self) -> int:
        """Return a file descriptor for reading the data that has arrived; the caller closes it.

        Before `finish` the file lacks the zeros after the last data: if a read ends early, the rest is zero.
        """
        fd = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC)
        if self._file.is_direct:
            # No read-ahead: it would fill the page cache with pages that direct writes change later.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        return fd

    @contextmanager
    def reader(self) -> Iterator[Callable[[int, int], bytes]]:
        """Return a function (offset, length) that waits for these bytes; zeros follow the end. It raises Abandoned."""
        fd = self.open_reader()

        def read(offset: int, length: int) -> bytes:
            self.wait_for(offset + length)
            return os.pread(fd, length, offset).ljust(length, b"\0")

        try:
            yield read
        finally:
            os.close(fd)

    def chunks(self, chunk_bytes: int) -> Generator[bytes, None, None]:
        """Return the content from the start, as it arrives. Close it to close the file. Raises Abandoned."""
        offset = 0
        with self.reader() as read:
            while (end := min(self.wait_for(offset + chunk_bytes), offset + chunk_bytes)) > offset:
                yield read(offset, end - offset)
                offset = end

    def _announce(self, final_parts: FinalParts, end: int) -> None:
        if not self._is_announced:
            size = self._size or 0
            self._file.finish(size)  # zeros at the end are not written, and what is announced can be read
            final_parts.began(self._file.path, size)
            self._is_announced = True
        final_parts.is_final_up_to(end)

    def _checked(self, value: int) -> int:
        if self._abandoned:
            raise Abandoned
        return value
