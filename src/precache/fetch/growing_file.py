"""What has arrived of a download so far, for those who read it while it is still growing.

The writer appends blocks in order; any number of readers ask for ranges and wait until these are there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from precache.fetch.blocks import Block
from precache.fetch.sparse_file import SparseFile


class Abandoned(Exception):
    """The awaited bytes will not come, because another part of the fetch has failed or was stopped.

    Never leaves this package: it is the failure behind it that is reported.
    """


class GrowingFile:
    """A file of the size `size_bytes` (None if not announced) that grows from its start."""

    def __init__(self, *, file: SparseFile, size_bytes: int | None) -> None:
        """file: where the blocks go, and stay readable."""
        self._file = file
        self._size = size_bytes
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

    def append(self, block: Block) -> None:
        """Write the next block; then readers may have it. The block is free again after that."""
        self._file.write(block)
        with self._changed:
            self._arrived += block.length
            self._changed.notify_all()

    def finish(self) -> None:
        """Mark that no more will come and all is well."""
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
        """Return the size, at once if it was announced, else at the end. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._size is not None or self._abandoned)
            return self._checked(self._size or 0)

    def wait_for_end(self) -> None:
        """Return when everything has arrived and was verified. Raises Abandoned."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or self._abandoned)
            self._checked(0)

    def wait_for(self, end: int) -> int:
        """Wait until the bytes before `end` are there, or all that will ever come; return how many are.

        Raises Abandoned.
        """
        if self._arrived >= end and not self._abandoned:
            return self._arrived  # most often so, and worth not taking the lock
        with self._changed:
            self._changed.wait_for(lambda: self._arrived >= end or self._complete or self._abandoned)
            return self._checked(self._arrived)

    def open_reader(self) -> int:
        """Return a descriptor to read what has arrived; the caller closes it.

        Holes after the last data are not in the file before `finish`: where a read ends early, the rest is zero.
        """
        fd = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC)
        if self._file.is_direct:
            # No read-ahead: it would fill the page cache with places that are yet to be written past it.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        return fd

    @contextmanager
    def reader(self) -> Iterator[Callable[[int, int], bytes]]:
        """Return a function of offset and length that waits for these bytes; zeros follow the end. Raises Abandoned."""
        fd = self.open_reader()

        def read(offset: int, length: int) -> bytes:
            self.wait_for(offset + length)
            return os.pread(fd, length, offset).ljust(length, b"\0")

        try:
            yield read
        finally:
            os.close(fd)

    def chunks(self, chunk_bytes: int) -> Iterator[bytes]:
        """Return the content from the start, as it comes. Raises Abandoned."""
        offset = 0
        with self.reader() as read:
            while (end := min(self.wait_for(offset + chunk_bytes), offset + chunk_bytes)) > offset:
                yield read(offset, end - offset)
                offset = end

    def _checked(self, value: int) -> int:
        if self._abandoned:
            raise Abandoned
        return value
