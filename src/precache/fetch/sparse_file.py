"""A new file to which blocks are written without their zeros, past the page cache or through it.

A result is written past it, as Nova writes its conversions: it is read by others much later, so it should not push
the guests' pages out of the host's memory; and the bytes are on disk when a write returns, so that the final fsync has
nothing left to do. A download that is only the source of a conversion goes through the page cache: it is read again
at once and then removed, most often before the kernel has found time to write it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from precache.fetch.blocks import ALIGNMENT_BYTES, Block

WriteAt = Callable[[int, memoryview, int], int]
"""os.pwrite, or what a test puts in its place."""

_MODE = 0o666  # less the umask, as Nova's own open() has it


class SparseFile:
    """Owned by one writer; others may read what has been written. A context manager: it closes, never removes."""

    def __init__(self, path: Path, *, direct: bool, write_at: WriteAt = os.pwrite) -> None:
        """Create the file. Raises OSError, FileExistsError among them: a temporary file is never shared.

        direct: past the page cache, where the file system can.
        """
        self.path = path
        self._write_at = write_at
        self._fd, self._can_be_direct = _create(path)
        self._direct = self._can_be_direct
        if not direct:
            self._use_page_cache()

    @property
    def is_direct(self) -> bool:
        return self._direct

    @property
    def can_be_direct(self) -> bool:
        """Whether the file system has direct I/O, used or not."""
        return self._can_be_direct

    def write(self, block: Block) -> None:
        """Write the block at its offset, a multiple of the alignment, leaving holes where it is zero.

        A block whose length is no multiple of the alignment must be the last one; zeros follow it until `finish`.
        """
        for start, end in _data_runs(block, block.pad()):
            self._write_run(block.view[start:end], block.offset + start)

    def finish(self, size_bytes: int) -> None:
        """Return the file its exact length."""
        os.ftruncate(self._fd, size_bytes)

    def flush(self) -> None:
        """Have everything on the disk before this returns."""
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> SparseFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_run(self, run: memoryview, offset: int) -> None:
        while run:
            try:
                written = self._write_at(self._fd, run, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                # Some file systems take the flag at open() and refuse the write.
                self._use_page_cache()
                continue
            run, offset = run[written:], offset + written

    def _use_page_cache(self) -> None:
        self._direct = False
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)


def create_empty(path: Path, size_bytes: int) -> None:
    """Create a file of this length that is all zeros. Raises OSError: FileExistsError, and EFBIG if it is too long."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        os.ftruncate(fd, size_bytes)
        # qemu finds out by reading the first block in which units it may write past the page cache. In a hole every
        # unit seems possible; then it takes 4096 bytes for safety, and a disk that ends within such a unit grows.
        os.pwrite(fd, bytes(min(size_bytes, ALIGNMENT_BYTES)), 0)
    finally:
        os.close(fd)


def cut_to(path: Path, size_bytes: int) -> None:
    """Remove what a writer with a large unit has put behind the end, through no link. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_size > size_bytes:
            os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)


def flush(path: Path) -> None:
    """Have a file that another process wrote on the disk before this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _create(path: Path) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_DIRECT, _MODE), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    path.unlink(missing_ok=True)  # some kernels create the file before they find out
    return os.open(path, flags, _MODE), False


def _data_runs(block: Block, length: int) -> Iterator[tuple[int, int]]:
    """Return the longest runs of grains that are not all zero."""
    if block.is_zero():
        return
    run_start: int | None = None
    for grain in range(0, length, ALIGNMENT_BYTES):
        if block.is_zero_grain(grain):
            if run_start is not None:
                yield run_start, grain
            run_start = None
        elif run_start is None:
            run_start = grain
    if run_start is not None:
        yield run_start, length
