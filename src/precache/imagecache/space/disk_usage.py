"""What file systems and files occupy, in bytes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the block of the file system is."""


class DiskSize(NamedTuple):
    """Of a file system. free_bytes: what this process may still write to it."""

    total_bytes: int
    free_bytes: int


def disk_size(directory: Path) -> DiskSize:
    """Return the size of the file system of `directory`. Raises OSError."""
    status = os.statvfs(directory)
    return DiskSize(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def allocated_bytes(found: os.stat_result) -> int:
    """Return how many bytes the file occupies on the disk, without holes."""
    return found.st_blocks * _BLOCK_BYTES


def allocated_by(*paths: Path | None) -> int:
    """Return how many bytes the files at these paths occupy together; a file that does not exist counts as 0."""
    taken = 0
    for path in paths:
        with suppress(FileNotFoundError):
            taken += 0 if path is None else allocated_bytes(path.stat())
    return taken


def directory_bytes(directory: Path) -> int:
    """Return how many bytes the files of the directory occupy. Two names of one file count once. Raises OSError."""
    used: dict[int, int] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                used[found.st_ino] = allocated_bytes(found)
    return sum(used.values())
