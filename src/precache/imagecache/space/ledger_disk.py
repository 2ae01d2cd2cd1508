"""The file system that a ledger counts, and the locks of all who make promises there.

The threads of this process exclude each other for each file system. Processes exclude each other for each directory.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from precache.core.errors import CacheUnusable
from precache.ports.clock import Clock

LEDGER_LOCK = ".precache-space"
"""Exists while a process makes a promise; Nova's cleaner ignores such a name."""

_POLL = timedelta(milliseconds=10)
_PATIENCE = timedelta(seconds=10)  # a promise is made in milliseconds
_ROOM_PATIENCE = timedelta(seconds=30)  # large files are removed in seconds
_THREAD_PATIENCE = timedelta(minutes=2)  # hundreds of fetches of one process may begin at once
_STUCK = (
    "another process has held {} for {:.0f} s; find it with `fuser {}`, and end it; if there is none, remove the file"
)
_SLOW = "no image could be promised its space within {:.0f} s; check whether the disk answers"


class _Disk:
    """What this process knows of one file system: the directories that it fills, by inode, and its locks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.room_lock = threading.Lock()
        self.directories: dict[int, Path] = {}


# One for the process, as the file systems are. By device number.
_disks: dict[int, _Disk] = {}
_disks_guard = threading.Lock()


class LedgerDisk:
    """The file system of `directory`, for one ledger. For any number of threads."""

    def __init__(self, *, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no other thread or process make a promise on this disk. Raises OSError, CacheUnusable."""
        thread_lock = self._disk().lock
        if not thread_lock.acquire(timeout=_THREAD_PATIENCE.total_seconds()):
            raise CacheUnusable(str(self._directory), _SLOW.format(_THREAD_PATIENCE.total_seconds()))
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
        room_lock = self._disk().room_lock
        may_make_room = room_lock.acquire(timeout=_ROOM_PATIENCE.total_seconds())
        try:
            yield may_make_room
        finally:
            if may_make_room:
                room_lock.release()

    def other_directories(self) -> list[Path]:
        """Return the other directories of this file system that this process fills and that still exist.

        Raises OSError.
        """
        disk, own = self._disk(), _identity(self._directory)
        with _disks_guard:
            for inode, path in list(disk.directories.items()):
                found = _identity(path)
                if found is None or found[1] != inode or _disks.get(found[0]) is not disk:
                    del disk.directories[inode]
            return [path for path in disk.directories.values() if _identity(path) != own]

    def _disk(self) -> _Disk:
        """Note that this process fills the directory, and return its file system, which may change."""
        found = self._directory.stat()
        with _disks_guard:
            disk = _disks.setdefault(found.st_dev, _Disk())
            disk.directories[found.st_ino] = self._directory
            return disk

    @property
    def _lock_path(self) -> Path:
        return self._directory / LEDGER_LOCK

    def _lock(self) -> int:
        for _ in range(_PATIENCE // _POLL):
            fd = self._try_lock()
            if fd is not None:
                return fd
            self._clock.sleep(_POLL)
        path = self._lock_path
        raise CacheUnusable(str(self._directory), _STUCK.format(path, _PATIENCE.total_seconds(), path))

    def _try_lock(self) -> int | None:
        try:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except PermissionError:
            if os.access(self._directory, os.W_OK | os.X_OK, effective_ids=True):
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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
