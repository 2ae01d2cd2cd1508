"""The raw disk that an image is decoded to: a file of its final length from the start, written at any place.

Writes go past the page cache where the file system and the image allow it. Small ones that are scattered go through it,
because a direct write of 4 KiB takes 90 us. So does an image whose clusters are smaller than the alignment of direct
writes. Both are rare.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from precache.fetch.blocks import ALIGNMENT_BYTES, Block
from precache.fetch.sparse_file import SparseFile, WriteAt

_SAMPLE = 256
"""So many writes show what an image is like."""

_LEAST_MEAN_BYTES = 64 << 10
"""With smaller writes the page cache is faster: 64 KiB take the same time in both ways."""


class ResultFile:
    """Several threads may write, each to places where nothing was written before. The caller removes it."""

    def __init__(
        self, path: Path, *, disk_bytes: int, unit_bytes: int, write_at: WriteAt = os.pwrite, is_kept: bool = False
    ) -> None:
        """disk_bytes: the exact size. unit_bytes: divides the offsets of all that is written.

        is_kept: the file is there, from an earlier fetch. Raises OSError: FileExistsError, EFBIG if it is too long.
        """
        self.path, self.disk_bytes = path, disk_bytes
        kept_bytes = disk_bytes if is_kept else 0
        self._file = SparseFile(path, direct=unit_bytes >= ALIGNMENT_BYTES, write_at=write_at, kept_bytes=kept_bytes)
        try:
            self._file.finish(disk_bytes)
        except BaseException:
            self._file.close()
            raise
        self._count = threading.Lock()
        self._writes = 0
        self.written_bytes = 0
        """How many bytes were written by this process, without the holes."""

    def can_write(self, start: int, disk_offset: int) -> bool:
        """Return whether bytes from `start` of a block can be written there without being copied first."""
        return not self._file.is_direct or (start | disk_offset) % ALIGNMENT_BYTES == 0

    def write(self, block: Block, start: int, end: int, disk_offset: int) -> None:
        """Write block.view[start:end], leaving holes where it is zero. Raises OSError.

        Bytes behind the end of the disk may be written, too: `finish` removes them.
        """
        written = self._file.write_part(block, start, end, disk_offset)
        with self._count:
            self.written_bytes += written
            self._writes += written > 0
            if self._writes % _SAMPLE == 0 and self.written_bytes < self._writes * _LEAST_MEAN_BYTES:
                self._file.use_page_cache()

    def finish(self) -> None:
        """Set the file to its exact length."""
        self._file.finish(self.disk_bytes)

    def flush(self) -> None:
        """Write all data to the disk before returning."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()
