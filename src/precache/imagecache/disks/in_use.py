"""Which files of the cache are in use: by disks of guests, by disks that Precache made, by running qemu processes.

Removing the backing file of a disk destroys the disk. So an unknown disk is an error, never ignored.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from precache.core.errors import DiskUnreadable
from precache.imagecache.disks.backing import backing_chain
from precache.imagecache.disks.overlay_list import Presence, listed_overlays
from precache.imagecache.names import SHARERS, overlays_name, parse_quarantined, parse_record, parse_temporary
from precache.ports.domain_disks import DiskFile, DomainDisks
from precache.rules.expiry import shape_of

_DEEPEST_DIRECTORY = 16
"""Below the instances directory. Snapshots are two levels deep."""

# qemu locks open images: one byte for each permission that it has (from 100) or shares (from 200).
_QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH = 100, 200
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid


class UsedFiles(Protocol):
    """What says which files of a cache are in use."""

    def lateness(self) -> timedelta:
        """Return how long it may take until a new disk is known here. Raises SharersUnknown."""
        ...

    def disks_by_file(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the name of each file in use, with the disks that stand on it.

        Raises DiskUnreadable, DomainsUnknown, SharersUnknown.
        """
        ...


class InstanceDisks:
    """The disks of a host: of its hypervisor, of all files below `instances_path`, and of the cache's lists.

    domains: None for a host without a hypervisor that can list its disks.
    """

    def __init__(self, *, instances_path: Path, cache_directory: Path, domains: DomainDisks | None = None) -> None:
        self._instances_path = instances_path
        self._cache_directory = cache_directory
        self._domains = domains
        self.last_found: Mapping[str, tuple[Path, ...]] | None = None
        """The last result of `disks_by_file`; None if that was not called yet, or has failed."""

    def lateness(self) -> timedelta:
        """Return zero: each call looks at the disks."""
        return timedelta()

    def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
        """Return the name of each file in a backing chain, entries among them, with the disks that stand on it.

        Only the name counts, not the directory, because a disk may refer to the cache by another path. A guest that
        uses a file directly, such as the medium of a drive, is shown by that file's own path. Without a hypervisor
        every entry on which a disk was ever made is in use, because the disk may have been moved. Raises DiskUnreadable
        for a disk whose backing files are unknown, DomainsUnknown.
        """
        try:
            found = self._disks_by_file()
        except BaseException:
            self.last_found = None
            raise
        self.last_found = found
        return found

    def _disks_by_file(self) -> dict[str, tuple[Path, ...]]:
        found: dict[str, dict[Path, None]] = {}
        try:
            defined = None if self._domains is None else self._domains.files()
            listed = self._listed(is_all_known=defined is not None)
            for entry, overlay, _ in listed:
                found.setdefault(entry, {})[overlay] = None
            disks = [*(defined or ()), *(disk for _, _, disk in listed if disk is not None), *self._found()]
            for disk in disks:
                # A domain can use an entry directly, as the medium of a drive.
                for file in (disk.path, *backing_chain(disk)):
                    for name in _names_of(file):
                        found.setdefault(name, {})[disk.path] = None
        except OSError as error:
            raise DiskUnreadable(str(error.filename), error.strerror or str(error)) from error
        return {name: _without_itself(name, users) for name, users in found.items()}

    def _listed(self, *, is_all_known: bool) -> list[tuple[str, Path, DiskFile | None]]:
        """Return each entry that has a listed disk, with its path, and the disk; None for a disk that is gone."""
        found: list[tuple[str, Path, DiskFile | None]] = []
        for entry, overlay in listed_overlays(self._cache_directory):
            presence = overlay.presence()
            if presence is Presence.UNKNOWN:
                raise DiskUnreadable(
                    str(overlay.path),
                    "its directory is not the one in which the disk was made, so its file system may not be mounted; "
                    "mount it, or, if the disk no longer exists, remove its line from "
                    f"{self._cache_directory / overlays_name(entry)}",
                )
            if presence is Presence.THERE:
                found.append((entry, overlay.path, DiskFile(overlay.path, "qcow2")))
            elif not is_all_known:
                found.append((entry, overlay.path, None))
        return found

    def _found(self) -> Iterator[DiskFile]:
        """Return every file below the instances directory except the entries, without a known format."""
        for directory, names in _directories(self._instances_path, _DEEPEST_DIRECTORY):
            if directory == self._cache_directory / SHARERS:
                continue
            is_cache = directory == self._cache_directory
            for name in names:
                if not (is_cache and _is_of_the_cache(name)):
                    yield DiskFile(directory / name)


def _is_of_the_cache(name: str) -> bool:
    if shape_of(name) is not None or parse_record(name) is not None:
        return True
    return parse_temporary(name) is not None or parse_quarantined(name) is not None


def _without_itself(name: str, users: Iterable[Path]) -> tuple[Path, ...]:
    """Return the users, sorted. libvirt lists the backing files of a disk, too: these count only without a disk."""
    others = sorted(user for user in users if user.name != name)
    return tuple(others or users)


def _names_of(path: Path) -> set[str]:
    return {path.name, Path(os.path.realpath(path)).name}


def _directories(directory: Path, levels: int, is_top: bool = True) -> Iterator[tuple[Path, list[str]]]:
    """Yield it and those below it, each with the names of its files.

    Links to directories are followed only at the top, where an instance may be one.
    """
    if levels == 0:
        raise DiskUnreadable(str(directory), "directories are nested too deeply below the instances directory")
    files, deeper = list[str](), list[str]()
    try:
        with os.scandir(directory) as found:
            for entry in found:
                (deeper if entry.is_dir(follow_symlinks=is_top) else files).append(entry.name)
    except FileNotFoundError:
        return  # the instance was deleted meanwhile
    yield directory, files
    for name in deeper:
        yield from _directories(directory / name, levels - 1, is_top=False)


def is_open_in_qemu(path: Path) -> bool:
    """Return whether a qemu on this host has the file open, as a disk or as a backing file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_LOCKS_START, _QEMU_LOCKS_LENGTH, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)
