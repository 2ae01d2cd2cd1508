"""Which files of the cache somebody stands on: instance disks, disks that we made elsewhere, running guests.

Removing a file that a disk stands on destroys the disk, so every doubt counts as use: a disk that cannot be read stops
the question with DiskUnreadable instead of being passed over.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from precache.core.errors import DiskUnreadable
from precache.imagecache.backing import backing_chain
from precache.imagecache.overlay_list import listed_overlays

_DISK_PREFIX = "disk"  # Nova's names: disk, disk.local, disk.eph0, disk.swap, disk.rescue

# Where qemu locks the images it has open: a byte for each permission it has or shares, from 100 and from 200 on.
_QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH = 100, 200
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid


class InstanceDisks:
    """The disks of a host: `<instances_path>/<instance>/disk*`, and those in the cache's own lists."""

    def __init__(self, *, instances_path: Path, cache_directory: Path) -> None:
        self._instances_path = instances_path
        self._cache_directory = cache_directory

    def names_in_use(self) -> set[str]:
        """Give the names of all files that disks stand on, directly or through others; cache entries are among them.

        By name alone, wherever the disk says they are: a disk may see the cache under another path. Raises
        DiskUnreadable for a disk that exists but cannot be understood.
        """
        names: set[str] = set()
        for disk in self._disks():
            for backing in backing_chain(disk):
                names.add(backing.name)
                names.add(Path(os.path.realpath(backing)).name)
        return names

    def _disks(self) -> Iterator[Path]:
        try:
            cache = os.path.realpath(self._cache_directory)
            for instance in _entries(self._instances_path):
                if instance.is_dir() and os.path.realpath(instance) != cache:
                    yield from (path for path in _entries(instance) if path.name.startswith(_DISK_PREFIX))
            yield from listed_overlays(self._cache_directory)
        except OSError as error:
            raise DiskUnreadable(str(error.filename), error.strerror or str(error)) from error


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []  # the instance was deleted while we looked


def is_open_in_qemu(path: Path) -> bool:
    """Say whether a qemu on this host has the file open, as a disk or under one. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)
