"""Which files of the cache are in use: by disks of guests, by disks that we made, by running qemu processes.

Removing a file that a disk stands on destroys the disk, so every doubt counts as use: what cannot be known stops the
question with an error instead of being passed over.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from precache.core.errors import DiskUnreadable
from precache.imagecache.backing import backing_chain
from precache.imagecache.names import entry_of_temporary
from precache.imagecache.overlay_list import Presence, listed_overlays
from precache.ports.domain_disks import DiskFile, DomainDisks
from precache.rules.expiry import shape_of

_DEEPEST_DIRECTORY = 16
"""Below the instances directory. Snapshots and the like are two levels deep."""

# Where qemu locks the images it has open: a byte for each permission it has or shares, from 100 and from 200 on.
_QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH = 100, 200
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid


class InstanceDisks:
    """The disks of a host: what its hypervisor defines, all files below `instances_path`, and the cache's own lists.

    domains: None for a host without a hypervisor that can tell.
    """

    def __init__(self, *, instances_path: Path, cache_directory: Path, domains: DomainDisks | None = None) -> None:
        self._instances_path = instances_path
        self._cache_directory = cache_directory
        self._domains = domains

    def names_in_use(self) -> set[str]:
        """Return the names of all files that disks stand on, directly or through others; entries are among them.

        By name alone, wherever the disk says they are: a disk may see the cache under another path.
        Without a hypervisor to ask, an entry that we ever made a disk on is in use: the disk may have been moved.
        Raises DiskUnreadable for a disk whose backing files cannot be known, DomainsUnknown.
        """
        try:
            defined = None if self._domains is None else self._domains.files()
            listed = self._listed(is_all_known=defined is not None)
            names = {name for name, _ in listed}
            disks = [*(defined or ()), *(disk for _, disk in listed if disk is not None), *self._found()]
            for disk in disks:
                # A domain can use an entry itself, as the medium of a drive.
                names |= _names_of(disk.path)
                for backing in backing_chain(disk):
                    names |= _names_of(backing)
        except OSError as error:
            raise DiskUnreadable(str(error.filename), error.strerror or str(error)) from error
        return names

    def _listed(self, *, is_all_known: bool) -> list[tuple[str, DiskFile | None]]:
        """Return each entry that has a listed disk, and the disk; None for one that is gone."""
        found: list[tuple[str, DiskFile | None]] = []
        for entry, overlay in listed_overlays(self._cache_directory):
            presence = overlay.presence()
            if presence is Presence.UNKNOWN:
                raise DiskUnreadable(
                    str(overlay.path),
                    "its directory is not there as it was when the disk was made, so its file system may not be "
                    f"mounted; mount it, or, if the disk is gone for good, remove its line from {entry}.overlays in "
                    f"{self._cache_directory}",
                )
            if presence is Presence.THERE:
                found.append((entry, DiskFile(overlay.path, "qcow2")))
            elif not is_all_known:
                found.append((entry, None))
        return found

    def _found(self) -> Iterator[DiskFile]:
        """Return every file below the instances directory but the entries. Its own bytes tell what it stands on."""
        for path in _files_below(self._instances_path, _DEEPEST_DIRECTORY):
            if path.parent != self._cache_directory or not _is_of_the_cache(path.name):
                yield DiskFile(path)


def _is_of_the_cache(name: str) -> bool:
    return shape_of(name) is not None or entry_of_temporary(name) is not None


def _names_of(path: Path) -> set[str]:
    return {path.name, Path(os.path.realpath(path)).name}


def _files_below(directory: Path, levels: int, is_top: bool = True) -> Iterator[Path]:
    """Return the files below it. Links to directories are followed at the top, where an instance may be one."""
    if levels == 0:
        raise DiskUnreadable(str(directory), "directories are nested too deeply below the instances directory")
    try:
        with os.scandir(directory) as found:
            entries = list(found)
    except FileNotFoundError:
        return  # the instance was deleted while we looked
    for entry in entries:
        if entry.is_dir(follow_symlinks=is_top):
            yield from _files_below(Path(entry.path), levels - 1, is_top=False)
        else:
            yield Path(entry.path)


def is_open_in_qemu(path: Path) -> bool:
    """Return whether a qemu on this host has the file open, as a disk or under one. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)
