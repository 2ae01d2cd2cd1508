"""Reads the backing chain of a disk image from its headers. No tool opens a disk that a guest wrote.

A guest may write anything into a raw disk. So a header is trusted only if the format is known from elsewhere. In every
other file it is a claim, whose only effect can be that a file of the cache is kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from precache.core.errors import DiskUnreadable
from precache.imagecache.disks.headers import LAYERED_FORMATS, HeaderDamaged, Reference, format_of, read_references
from precache.ports.domain_disks import DiskFile
from precache.rules.expiry import shape_of

_MOST_FILES = 64
"""Of one disk. A longer chain that is trusted stops the pass; the rest of a claimed chain is not read."""


class _Source(Enum):
    """How a file was found, which decides what its absence means."""

    KNOWN = auto()  # named by a trusted source: if it is missing, its backing chain is unknown
    FOUND = auto()  # found in a directory: it may be deleted before it is read
    CLAIMED = auto()  # named by bytes that a guest may have written: nothing about it is an error


@dataclass(frozen=True, slots=True)
class _Link:
    """A file of a chain."""

    file: DiskFile
    source: _Source


def backing_chain(disk: DiskFile) -> Iterator[Path]:
    """Return the files of the disk's backing chain, nearest first; the last may not exist. Empty for a raw disk.

    Raises DiskUnreadable if a file of known format is missing or damaged, or a file may not be read.
    """
    is_known = disk.disk_format is not None
    waiting, seen = [_Link(disk, _Source.KNOWN if is_known else _Source.FOUND)], {disk.path}
    while waiting:
        for link in _references(waiting.pop(0)):
            path = link.file.path
            if path not in seen:
                seen.add(path)
                yield path
                if not _is_entry(path):
                    waiting.append(link)
        if len(seen) > _MOST_FILES:
            if is_known:
                raise DiskUnreadable(str(disk.path), f"its backing chain has more than {_MOST_FILES} files")
            return


def _is_entry(path: Path) -> bool:
    """Return whether it has the name of an entry, which has no backing file, and is not a symbolic link."""
    return shape_of(path.name) is not None and not path.is_symlink()


def _references(link: _Link) -> list[_Link]:
    """Return what the file's header names. Raises DiskUnreadable as `backing_chain` does."""
    file = link.file
    if file.disk_format is not None and file.disk_format not in LAYERED_FORMATS:
        return []
    fd = _open(file.path, link.source)
    if fd is None:
        return []
    try:
        return _read_header(file, fd)
    except OSError as error:
        _judge(file.path, link.source, error)
        return []
    finally:
        os.close(fd)


def _read_header(file: DiskFile, fd: int) -> list[_Link]:
    disk_format = file.disk_format or format_of(fd)
    if disk_format is None:
        return []
    try:
        references = read_references(fd, disk_format)
    except HeaderDamaged as error:
        if file.disk_format is None:
            return []  # a guest's own bytes, or a disk that no qemu can open
        raise DiskUnreadable(str(file.path), str(error)) from error
    return [_follow(file, reference) for reference in references]


def _follow(file: DiskFile, reference: Reference) -> _Link:
    path = _place(file.path, reference.name)
    if file.disk_format is None:
        return _Link(DiskFile(path), _Source.CLAIMED)  # what a claim names is a claim too
    return _Link(DiskFile(path, reference.disk_format), _Source.KNOWN if reference.is_certain else _Source.CLAIMED)


def _place(file: Path, name: str) -> Path:
    """Return the path of a name in the header of `file`, relative to its directory, or to that of its link's target."""
    nominal = file.parent / name
    if os.path.lexists(nominal) or not file.is_symlink():
        return nominal
    return Path(os.path.realpath(file)).parent / name


def _open(path: Path, source: _Source) -> int | None:
    """Open the file if it can be a disk: opening a device or a pipe can have effects, or block."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        _judge(path, source, error)
        return None
    try:
        kind = os.fstat(place).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
            return None
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _judge(path, source, error)
        return None
    finally:
        os.close(place)


def _judge(path: Path, source: _Source, error: OSError) -> None:
    """Raise DiskUnreadable if the file's failure leaves its chain unknown."""
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    if source is _Source.CLAIMED or (source is _Source.FOUND and is_missing):
        return
    reason = error.strerror or str(error)
    if is_missing:
        reason = (
            "it is not there, so its backing files are unknown; mount its file system, or remove what refers to it: "
            "the domain, or the disk based on it"
        )
    raise DiskUnreadable(str(path), reason) from error
