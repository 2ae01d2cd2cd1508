"""A new file to which blocks are written without their zeros, with direct I/O or through the page cache.

A result is written past the page cache, as Nova writes its conversions. It is read much later, so it should not
displace the guests' pages from the host's memory; and a write returns when the bytes are on the disk, so that the final
fsync is quick. A download that is only the source of a conversion is written through the page cache: it is read at once
and then removed, usually before the kernel has written it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from precache.fetch.blocks import ALIGNMENT_BYTES, Block

WriteAt = Callable[[int, memoryview, int], int]
"""os.pwrite, or a replacement in tests."""

_MODE = 0o666  # minus the umask, as with Nova's open()


class SparseFile:
    """Owned by one writer; others may read what is written. A context manager: it closes the file, never removes it."""

    def __init__(self, path: Path, *, direct: bool, write_at: WriteAt = os.pwrite, kept_bytes: int = 0) -> None:
        """Create the file. Raises OSError, also FileExistsError: a temporary file is never shared.

        direct: write past the page cache if the file system supports it.
        kept_bytes: if not 0, the file exists, and so many bytes from its start are used again.
        """
        self.path = path
        self._write_at = write_at
        self._fd, self._can_be_direct = _open(path, 0) if kept_bytes else _open(path, os.O_CREAT | os.O_EXCL)
        if kept_bytes:
            os.ftruncate(self._fd, kept_bytes)  # zeros that follow are not written
        self._direct = self._can_be_direct
        if not direct:
            self.use_page_cache()

    @property
    def is_direct(self) -> bool:
        return self._direct

    @property
    def can_be_direct(self) -> bool:
        """Return whether the file system supports direct I/O, even if it is not used."""
        return self._can_be_direct

    def write(self, block: Block) -> None:
        """Write the block at its offset, a multiple of the alignment, leaving holes where it is zero.

        A block whose length is no multiple of the alignment must be the last one; zeros follow it until `finish`.
        """
        self.write_part(block, 0, block.pad(), block.offset)

    def write_part(self, block: Block, start: int, end: int, offset: int) -> int:
        """Write block.view[start:end] at the offset, leaving holes where it is zero; return how much was not zero.

        The file must have nothing at this place yet. With direct I/O the numbers must be multiples of the alignment;
        else, the file is written through the page cache from then on. Several threads may write different places.
        """
        written = 0
        for run_start, run_end in _data_runs(block, start, end):
            self._write_run(block.view[run_start:run_end], offset + run_start - start)
            written += run_end - run_start
        return written

    def read(self, block: Block) -> int:
        """Read the content at the block's offset into it; return how many bytes there were."""
        try:
            return os.preadv(self._fd, [block.view], block.offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._direct:
                raise
            self.use_page_cache()
            return os.preadv(self._fd, [block.view], block.offset)

    def finish(self, size_bytes: int) -> None:
        """Set the file to its exact length."""
        os.ftruncate(self._fd, size_bytes)

    def flush(self) -> None:
        """Write all data to the disk before returning."""
        os.fsync(self._fd)

    def use_page_cache(self) -> None:
        """Write no longer past the page cache."""
        self._direct = False
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)

    def close(self) -> None:
        # The number first: a thread that still writes could find another file under it, opened meanwhile.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

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
                # Some file systems accept the flag at open() and refuse the write.
                self.use_page_cache()
                continue
            run, offset = run[written:], offset + written


def create_empty(path: Path, size_bytes: int) -> None:
    """Create a file of this length that is all zeros. Raises OSError: FileExistsError, and EFBIG if it is too long."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        os.ftruncate(fd, size_bytes)
        # qemu reads the first block to detect the alignment of direct writes. In a hole every alignment seems to work;
        # then it uses 4096 bytes, and a disk that ends within such a unit grows.
        os.pwrite(fd, bytes(min(size_bytes, ALIGNMENT_BYTES)), 0)
    finally:
        os.close(fd)


def truncate_to(path: Path, size_bytes: int) -> None:
    """Remove what a writer with large units has written beyond the end; never follow a link. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_size > size_bytes:
            os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)


def flush(path: Path) -> None:
    """Write a file of another process to the disk before returning."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open(path: Path, creation: int) -> tuple[int, bool]:
    """Return a descriptor, and whether it is for direct I/O. creation: the flags to create the file, or 0."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | creation
    try:
        return os.open(path, flags | os.O_DIRECT, _MODE), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    if creation:
        path.unlink(missing_ok=True)  # some kernels create the file before they fail
    return os.open(path, flags, _MODE), False


def _data_runs(block: Block, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Return the longest runs of grains that are not all zero. A grain that `end` cuts is looked at as a whole."""
    run_start: int | None = None
    for grain in range(start, end, ALIGNMENT_BYTES):
        if block.is_zero_grain(grain):
            if run_start is not None:
                yield run_start, grain
            run_start = None
        elif run_start is None:
            run_start = grain
    if run_start is not None:
        yield run_start, end
