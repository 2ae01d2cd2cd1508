"""An open file that one thread writes and others read, and that any thread may close: its zeros are holes."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Condition

_MODE = 0o666  # minus the umask, as with Nova's open()
_GRAIN_BYTES = 4096
_ZERO_GRAIN = bytes(_GRAIN_BYTES)
_KEEP_SIZE_AND_PUNCH_HOLE = 1 | 2  # of fallocate(2)
_MOST_ZEROS = 1 << 20

_WRITTEN_BYTES = 8 << 20
"""After so many bytes the kernel is told to write them to the disk, and to keep what is there no longer in memory.

Guests need that memory, and otherwise the flush at the end would have to write the whole image."""

_libc = ctypes.CDLL(None, use_errno=True)


class SharedFile:
    """Thread-safe, with one writer. The descriptor is closed only when no thread uses it: it never means another file.

    is_blank: it was empty when it was opened, so that what was not written since is zero.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Open the file, and create it if it is missing and writable. Raises OSError."""
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY)
        self._fd = os.open(path, flags, _MODE)
        if not writable:
            # No read-ahead: it would fill the page cache with pages that the seeder's direct writes change later.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_RANDOM)
        self.is_blank = writable and os.fstat(self._fd).st_size == 0
        self._users = 0
        self._closed = False
        self._changed = Condition()
        self._unwritten_bytes = 0

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer; return the number of bytes, fewer only at the end of the file. Raises OSError."""
        filled, fd = 0, self._begin_use()
        try:
            while filled < len(buffer) and (got := os.preadv(fd, [buffer[filled:]], offset + filled)):
                filled += got
        finally:
            self._end_use()
        return filled

    def write(self, data: memoryview, offset: int) -> None:
        """Write the data; in a blank file its zeros stay holes. Raises OSError, also after `close`."""
        fd = self._begin_use()
        try:
            if self.is_blank:
                for start, end in _data_runs(data):
                    _write(fd, data[start:end], offset + start)
            else:
                _write(fd, data, offset)
            self._unwritten_bytes += len(data)
            if self._unwritten_bytes >= _WRITTEN_BYTES:
                self._unwritten_bytes = 0
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            self._end_use()

    def clear(self, offset: int, length: int) -> None:
        """Make the range zero: a hole where the file system can make one. Raises OSError."""
        if self.is_blank:
            return
        fd = self._begin_use()
        try:
            numbers = (ctypes.c_int64(offset), ctypes.c_int64(length))
            if _libc.fallocate(ctypes.c_int(fd), ctypes.c_int(_KEEP_SIZE_AND_PUNCH_HOLE), *numbers) == 0:
                return
            for at in range(0, length, _MOST_ZEROS):
                _write(fd, memoryview(bytes(min(_MOST_ZEROS, length - at))), offset + at)
        finally:
            self._end_use()

    def set_size(self, size_bytes: int) -> None:
        """Cut the file off, or lengthen it by a hole. Raises OSError."""
        fd = self._begin_use()
        try:
            os.ftruncate(fd, size_bytes)
        finally:
            self._end_use()

    def stat(self) -> os.stat_result:
        """Return the state of the file, whatever its name is now. Raises OSError."""
        fd = self._begin_use()
        try:
            return os.fstat(fd)
        finally:
            self._end_use()

    def close(self) -> None:
        """Close the file when no thread uses it any more. Safe to repeat."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: not self._users)
            os.close(self._fd)

    def _begin_use(self) -> int:
        """Return the descriptor, which stays open until `_end_use`."""
        with self._changed:
            if self._closed:
                raise OSError(errno.EBADF, "the file of a relay was closed")
            self._users += 1
        return self._fd

    def _end_use(self) -> None:
        with self._changed:
            self._users -= 1
            if self._closed:
                self._changed.notify_all()


def _data_runs(data: memoryview) -> Iterator[tuple[int, int]]:
    """Return the runs that are not all zero, in units of 4 KiB."""
    start = 0
    for at in range(0, len(data), _GRAIN_BYTES):
        if not data[at] and data[at : at + _GRAIN_BYTES] == _ZERO_GRAIN:
            if start < at:
                yield start, at
            start = at + _GRAIN_BYTES
    if start < len(data):
        yield start, len(data)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
