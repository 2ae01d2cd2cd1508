"""How a complete file gets its name in the cache. Nova trusts the name alone: no size, no digest is looked at again."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from precache.imagecache.ownership import file_mode, give_to_owner_of


def publish(temporary: Path, final: Path, now: datetime) -> None:
    """Give the complete, verified file its name, durably: after a power cut the name means all of it or nothing.

    The file gets the mode and owner that Nova's would have, and the mtime `now`, from which its expiry counts.
    temporary: on the file system of `final`. Raises OSError.
    """
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(fd, file_mode())
        give_to_owner_of(final.parent, fd)
        os.utime(fd, (now.timestamp(), now.timestamp()))
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(final)
    _sync_directory(final.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
