"""How much room a disk has, and a full disk said in numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import CacheUnusable, DiskFilledUp, NotEnoughSpace, PrecacheError
from precache.core.images import ImageId
from precache.imagecache.os_errors import DISK_FULL, explain

_SECTOR_BYTES = 512  # the unit of st_blocks, whatever the disk's own


def free_bytes(directory: Path) -> int:
    """Give what this process may still write to the file system of `directory`. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def allocated_bytes(*paths: Path | None) -> int:
    """Give what the files take on the disk, holes not counted; those that are not there take nothing."""
    taken = 0
    for path in paths:
        if path is not None and path.exists():
            taken += path.stat().st_blocks * _SECTOR_BYTES
    return taken


@dataclass(frozen=True, slots=True)
class Attempted:
    """What was to be written for an image, as far as anybody knew, and what had been."""

    image: ImageId
    needed_bytes: int
    written_bytes: int
    is_size_known: bool


def disk_failure(
    error: OSError, attempted: Attempted, directory: Path, free_bytes: Callable[[Path], int]
) -> PrecacheError:
    """Give the error of ours for one of the cache's disk: full, or else unusable.

    free_bytes: asked now that the files of the attempt are gone.
    """
    if error.errno not in DISK_FULL:
        return CacheUnusable(str(directory), explain(error))
    image, place, free = attempted.image, str(directory), free_bytes(directory)
    if attempted.is_size_known and attempted.needed_bytes > free:
        return NotEnoughSpace(image, attempted.needed_bytes, free, place)
    return DiskFilledUp(image, attempted.written_bytes, free, place, is_size_known=attempted.is_size_known)
