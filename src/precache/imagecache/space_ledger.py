"""The ledger of a disk: what fetches have promised to write to it, so that two do not count on the same free space.

A promise is a small file in the staging of its fetch: the bytes that are still to be written to each of the fetch's
files, and what these occupied at that time. So what has been written since counts no more. The lock on the file shows
that the fetch lives: a promise ends with its process. Processes that fill the same directory see each other's promises,
and a process sees those of all directories of the same file system that it fills. Nothing here decides what an image
needs.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from precache.core.cache_entries import CacheSpace
from precache.core.errors import CacheUnusable
from precache.core.free_space import FreeSpace
from precache.core.sizes import NOTHING, DiskAmount
from precache.imagecache.names import parse_temporary, temporary_name
from precache.imagecache.os_errors import DiskSize, disk_size
from precache.ports.clock import Clock

LEDGER_LOCK = ".precache-space"
"""Exists while a process makes a promise; Nova's cleaner ignores such a name."""

_KIND = "promise"
_POLL = timedelta(milliseconds=10)
_PATIENCE = timedelta(seconds=10)  # a promise is made in milliseconds
_ROOM_PATIENCE = timedelta(seconds=30)  # large files are removed in seconds
_THREAD_PATIENCE = timedelta(minutes=2)  # hundreds of fetches of one process may begin at once
_STUCK = "another process has held {} for {:.0f} s; find it with `fuser {}`, and end it"
_SLOW = "no image could be promised its space within {:.0f} s; check whether the disk answers"
_LENGTH = 512  # bytes of the file, always: a reader without the lock never finds half of it
_SECTOR_BYTES = 512  # the unit of st_blocks, whatever the disk's own

MakeRoom = Callable[[int], int]
"""Removes entries from the cache until so many more bytes are free, if it can; returns the bytes that it freed.

Called without a lock of the ledger, by a fetch that holds the lock of its own entry: it must not wait for the locks of
entries."""


def allocated_bytes(*paths: Path | None) -> int:
    """Return how many bytes the files occupy on the disk, without holes; a file that does not exist counts as 0."""
    taken = 0
    for path in paths:
        with suppress(FileNotFoundError):
            taken += path.stat().st_blocks * _SECTOR_BYTES if path is not None else 0
    return taken


class _FilePromise(NamedTuple):
    """The promise for one file. pending_bytes: still to be written when the file occupied `allocated_bytes`."""

    pending_bytes: int
    allocated_bytes: int

    def left(self, allocated_bytes: int) -> int:
        return max(0, self.pending_bytes - (allocated_bytes - self.allocated_bytes))


class _Disks:
    """The directories that this process fills, by file system. One for the process, as the file systems are."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._room_locks: dict[int, threading.Lock] = {}
        self._directories: dict[int, dict[int, Path]] = {}

    def add(self, directory: Path) -> int:
        """Note the directory; return the number of its file system. Raises OSError."""
        found = directory.stat()
        with self._guard:
            self._directories.setdefault(found.st_dev, {})[found.st_ino] = directory
        return found.st_dev

    def lock_of(self, disk: int) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(disk, threading.Lock())

    def room_lock_of(self, disk: int) -> threading.Lock:
        with self._guard:
            return self._room_locks.setdefault(disk, threading.Lock())

    def directories(self, disk: int) -> list[Path]:
        """Return the directories of the file system that still exist."""
        with self._guard:
            known = self._directories.get(disk, {})
            for inode, path in list(known.items()):
                if _identity(path) != (disk, inode):
                    del known[inode]
            return list(known.values())


_disks = _Disks()


class Promise:
    """What one fetch has still to write. For the threads of that fetch; they do not call it at once."""

    def __init__(self, ledger: SpaceLedger, entry: str, token: str, make_room: MakeRoom | None) -> None:
        self._ledger, self._entry, self._token, self._make_room = ledger, entry, token, make_room
        self._path = ledger.directory / temporary_name(entry, token, _KIND)
        self._fd: int | None = None

    def set(self, pending: Mapping[str, int]) -> FreeSpace | None:
        """Promise these bytes for the files of these kinds, in place of what was promised.

        Return None, or the free space that is too little; then nothing has changed. Less than was promised always
        fits. Raises OSError, CacheUnusable.
        """
        refused = self._try(pending)
        if refused is None or self._make_room is None:
            return refused
        # One at a time: otherwise another would promise itself the room, and this would have removed entries in vain.
        with self._ledger.making_room() as may_make_room:
            refused = self._try(pending)
            if refused is not None and may_make_room:
                self._make_room(refused.missing_bytes(sum(pending.values())))
                refused = self._try(pending)
        return refused

    def end(self) -> None:
        """Take the promise back; harmless if there is none."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):  # without its lock the file counts no more
                self._path.unlink(missing_ok=True)
            os.close(fd)

    def _try(self, pending: Mapping[str, int]) -> FreeSpace | None:
        needed = sum(pending.values())
        with self._ledger.exclusively():
            space = self._ledger.free_space(without=(self._path.name,))
            if space.missing_bytes(needed) and needed > self._ledger.left_of(self._path):
                return space
            self._write(pending)
        return None

    def _write(self, pending: Mapping[str, int]) -> None:
        kept = {kind: _FilePromise(count, allocated_bytes(self._file(kind))) for kind, count in pending.items()}
        text = json.dumps({"files": kept}).ljust(_LENGTH).encode()
        if self._fd is None:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            self._fd = fd
            fcntl.flock(fd, fcntl.LOCK_EX)
        os.pwrite(self._fd, text, 0)

    def _file(self, kind: str) -> Path:
        return self._ledger.directory / temporary_name(self._entry, self._token, kind)


class SpaceLedger:
    """The promises on the file system of `directory`, and what is reserved there. For any number of threads.

    Objects and processes for one directory exclude each other. disk_size: tests pass a disk of their own.
    """

    def __init__(
        self,
        *,
        directory: Path,
        clock: Clock,
        reserve: DiskAmount = NOTHING,
        disk_size: Callable[[Path], DiskSize] = disk_size,
    ) -> None:
        self.directory = directory
        self._clock, self._reserve, self._disk_size = clock, reserve, disk_size

    @contextmanager
    def promise(self, entry: str, token: str, make_room: MakeRoom | None = None) -> Iterator[Promise]:
        """Return the promise of a fetch into this staging, of nothing yet; it ends with the block."""
        promise = Promise(self, entry, token, make_room)
        try:
            yield promise
        finally:
            promise.end()

    def free_space(self, without: Collection[str] = ()) -> FreeSpace:
        """Return the free space and what of it is promised and reserved. Raises OSError.

        without: entries of this directory, or names of promises, that do not count. Without the lock of `exclusively`
        it may be late by moments.
        """
        # The promises first: what is written between the two counts twice, and never not at all.
        promised = self._promised(without)
        disk = self._disk_size(self.directory)
        return FreeSpace(disk.free_bytes, sum(promised), len(promised), self._reserve.of(disk.total_bytes))

    def cache_space(self, used_bytes: int | None = None) -> CacheSpace:
        """Return the space of the cache and of its disk, for the inventory; reads no file. Raises OSError.

        used_bytes: by the files of the cache, if the caller knows it.
        """
        space = self.free_space()
        return CacheSpace(
            total_bytes=self._disk_size(self.directory).total_bytes,
            free_bytes=space.free_bytes,
            used_bytes=_used_bytes(self.directory) if used_bytes is None else used_bytes,
            promised_bytes=space.promised_bytes,
            reserve_bytes=space.reserve_bytes,
        )

    def left_of(self, path: Path) -> int:
        """Return what of the promise at this path is still to be written; 0 if its fetch has ended."""
        parsed = parse_temporary(path.name)
        files = _read_promise(path)
        if parsed is None or files is None:
            return 0
        paths = {kind: path.with_name(temporary_name(*parsed, kind)) for kind in files}
        return sum(kept.left(allocated_bytes(paths[kind])) for kind, kept in files.items())

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no other thread or process make a promise on this disk. Raises OSError, CacheUnusable."""
        thread_lock = _disks.lock_of(_disks.add(self.directory))
        if not thread_lock.acquire(timeout=_THREAD_PATIENCE.total_seconds()):
            raise CacheUnusable(str(self.directory), _SLOW.format(_THREAD_PATIENCE.total_seconds()))
        try:
            fd = self._lock()
            try:
                yield
            finally:
                # First the name, then the lock: who waits for the lock looks whether the file still has the name.
                self._lock_path.unlink(missing_ok=True)
                os.close(fd)
        finally:
            thread_lock.release()

    @contextmanager
    def making_room(self) -> Iterator[bool]:
        """Let no other thread make room on this disk; yield False if one takes too long. Raises OSError."""
        room_lock = _disks.room_lock_of(_disks.add(self.directory))
        may_make_room = room_lock.acquire(timeout=_ROOM_PATIENCE.total_seconds())
        try:
            yield may_make_room
        finally:
            if may_make_room:
                room_lock.release()

    @property
    def _lock_path(self) -> Path:
        return self.directory / LEDGER_LOCK

    def _lock(self) -> int:
        for _ in range(_PATIENCE // _POLL):
            fd = self._try_lock()
            if fd is not None:
                return fd
            self._clock.sleep(_POLL)
        raise self._stuck()

    def _try_lock(self) -> int | None:
        try:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except PermissionError:
            if os.access(self.directory, os.W_OK | os.X_OK, effective_ids=True):
                return None  # a process of another user has it
            raise
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(fd)
            if _identity(self._lock_path) == (found.st_dev, found.st_ino):
                return fd
        except BlockingIOError:
            pass
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def _stuck(self) -> CacheUnusable:
        path = self._lock_path
        return CacheUnusable(str(self.directory), _STUCK.format(path, _PATIENCE.total_seconds(), path))

    def _promised(self, without: Collection[str]) -> list[int]:
        """Return what is left of each promise that has something left. Raises OSError."""
        own = _disks.add(self.directory)
        left = [self.left_of(path) for path in _promises_in(self.directory, without)]
        for directory in _disks.directories(own):
            if _identity(directory) != _identity(self.directory):
                with suppress(OSError):  # it may be gone since then
                    left += [self.left_of(path) for path in _promises_in(directory)]
        return [count for count in left if count]


def _used_bytes(directory: Path) -> int:
    """Return how many bytes the files of the directory occupy. Two names of one file count once."""
    used: dict[int, int] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                used[found.st_ino] = found.st_blocks * _SECTOR_BYTES
    return sum(used.values())


def _promises_in(directory: Path, without: Collection[str] = ()) -> Iterator[Path]:
    with os.scandir(directory) as names:
        for name in (each.name for each in names):
            parsed = parse_temporary(name) if name.endswith(f"-{_KIND}") else None
            if parsed is not None and parsed[0] not in without and name not in without:
                yield directory / name


def _read_promise(path: Path) -> dict[str, _FilePromise] | None:
    """Return the promise by kinds of files; None if its fetch has ended, or another user hides it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _is_free(fd):
            return None
        files: Any = json.loads(os.pread(fd, _LENGTH, 0))["files"]
        return {str(kind): _FilePromise(max(0, int(pending)), int(taken)) for kind, (pending, taken) in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    finally:
        os.close(fd)


def _is_free(fd: int) -> bool:
    try:
        # Shared, so that two readers do not take each other for the fetch.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
