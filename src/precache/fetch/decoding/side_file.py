"""The bytes of an image whose place is not known yet, in a sparse file, each at its own offset in the image.

The file is written through the page cache: most images need some 200 KiB of it, for a minute.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from precache.fetch.blocks import ALIGNMENT_BYTES
from precache.fetch.sparse_file import WriteAt

_FIRST_STEP_BYTES = 1 << 20
_LARGEST_STEP_BYTES = 64 << 20
"""How much space is requested at once: little for the usual image, and not too often for others."""

ReadAt = Callable[[int, list[memoryview], int], int]
"""os.preadv, or a replacement in tests."""


def _admit_all(_total_bytes: int) -> None:
    """Set no limit."""


class SideFile:
    """Written by one thread, read by several. It is created by the first write; the caller removes it."""

    def __init__(
        self,
        path: Path,
        *,
        write_at: WriteAt = os.pwrite,
        read_at: ReadAt = os.preadv,
        admit: Callable[[int], None] = _admit_all,
        is_kept: bool = False,
    ) -> None:
        """admit: called with the space that the file may need, before it needs it; what it raises, `write` raises.

        is_kept: the file is there, from an earlier fetch. Raises OSError.
        """
        self._path, self._write_at, self._read_at, self._admit = path, write_at, read_at, admit
        self._fd = self._open(0) if is_kept else -1
        self._last_page = -1
        self.spilled_bytes = os.fstat(self._fd).st_blocks * 512 if is_kept else 0
        """The space that the file takes, in whole pages."""
        # A kept file may grow to the first step, too: else its fetch needs more than one that was never paused.
        self._admitted_bytes = max(self.spilled_bytes, _FIRST_STEP_BYTES) if is_kept else 0
        self._step = 0

    def write(self, file_offset: int, data: memoryview) -> None:
        """Store the bytes. Raises OSError, FileExistsError, and what `admit` raises."""
        self._count(file_offset, len(data))
        if self._fd < 0:
            self._fd = self._open(os.O_CREAT | os.O_EXCL)
        while data:
            written = self._write_at(self._fd, data, file_offset)
            data, file_offset = data[written:], file_offset + written

    def read(self, file_offset: int, length: int) -> bytes:
        """Return so many bytes; zeros where nothing was written. Raises OSError."""
        data = bytearray(length)
        self.read_into(memoryview(data), file_offset)
        return bytes(data)

    def read_into(self, view: memoryview, file_offset: int) -> None:
        """Fill the view as `read`."""
        # A read that meets a bad sector returns what comes before it. So only a read of nothing shows the end.
        while view and self._fd >= 0 and (count := self._read_at(self._fd, [view], file_offset)):
            view, file_offset = view[count:], file_offset + count
        view[:] = bytes(len(view))

    def flush(self) -> None:
        """Write all data to the disk before returning."""
        if self._fd >= 0:
            os.fsync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1  # as in `SparseFile`
        if fd >= 0:
            os.close(fd)

    def _open(self, creation: int) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | creation, 0o666)

    def _count(self, file_offset: int, length: int) -> None:
        first, last = file_offset // ALIGNMENT_BYTES, (file_offset + length - 1) // ALIGNMENT_BYTES
        self.spilled_bytes += (last - first + (first != self._last_page)) * ALIGNMENT_BYTES
        self._last_page = last
        while self.spilled_bytes > self._admitted_bytes:
            self._step = min(max(2 * self._step, _FIRST_STEP_BYTES), _LARGEST_STEP_BYTES)
            self._admit(self._admitted_bytes + self._step)
            self._admitted_bytes += self._step
