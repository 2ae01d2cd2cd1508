"""How much room a disk has, and a full disk said in numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from precache.core.errors import CacheUnusable, NotEnoughSpace, PrecacheError
from precache.core.images import ImageId
from precache.imagecache.os_errors import DISK_FULL, explain


def free_bytes(directory: Path) -> int:
    """Give what this process may still write to the file system of `directory`. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def disk_failure(
    error: OSError, image: ImageId, needed_bytes: int, directory: Path, free_bytes: Callable[[Path], int]
) -> PrecacheError:
    """Give the error of ours for one of the cache's disk: full, or else unusable."""
    if error.errno in DISK_FULL:
        return NotEnoughSpace(image, needed_bytes, free_bytes(directory), str(directory))
    return CacheUnusable(str(directory), explain(error))
