"""The lock of one cache entry: the same lock that nova-compute takes to fetch, copy or remove it.

It is a POSIX record lock (lockf) on `<locks>/nova-<entry>`, like oslo.concurrency's external locks; a contract test
shows that they exclude each other. The library is not used for two reasons (adr/0005). Nova's cleaner unlinks lock
files, so the inode must be compared after locking. A wait for a long download must be interruptible.

A record lock belongs to the process, and closing any descriptor of the file releases it. So a lock within the process
encloses it: one for each lock file, for all objects and paths.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from weakref import WeakValueDictionary

from precache.core.errors import CacheUnusable
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import give_to_owner_of
from precache.imagecache.staging import new_token
from precache.ports.clock import Clock

POLL_INTERVAL = timedelta(milliseconds=100)  # the same as oslo.concurrency's interval

_LOCK_PREFIX = "nova-"
# Not through a link, and not blocked by a pipe: nova can replace any name in the directory, also when this runs as
# root.
_OPEN_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BUSY = frozenset({errno.EACCES, errno.EAGAIN})


class _ThreadLock:
    """A lock that can be a value of a weak dictionary."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


# One for the whole process, as the kernel's lock is. Keyed by device and inode of the directory, and by name.
_in_process: WeakValueDictionary[tuple[int, int, str], _ThreadLock] = WeakValueDictionary()
_in_process_guard = threading.Lock()


class EntryLocks:
    """The locks of all entries of one cache; for any number of threads. prefix: of the names of the lock files."""

    def __init__(self, *, directory: Path, clock: Clock, prefix: str = _LOCK_PREFIX) -> None:
        self.directory = directory
        self._clock = clock
        self._prefix = prefix

    @contextmanager
    def hold(self, entry: str, wait: Callable[[], None]) -> Iterator[None]:
        """Hold the entry's lock; wait for it without a limit.

        wait: called before every further attempt, some ten times a second; what it raises ends the wait.
        Raises CacheUnusable if the lock file cannot be made.
        """
        while True:
            with self.hold_if_free(entry) as is_held:
                if is_held:
                    yield
                    return
            wait()
            self._clock.sleep(POLL_INTERVAL)

    @contextmanager
    def hold_if_free(self, entry: str) -> Iterator[bool]:
        """Hold the entry's lock if it is free; yield True if it is held, False if another has it."""
        with self._translated():
            thread_lock = self._thread_lock(entry)
        if not thread_lock.lock.acquire(blocking=False):
            yield False
            return
        try:
            with self._translated():
                fd = self._lock_file(entry)
            if fd is None:
                yield False
                return
            try:
                yield True
            finally:
                os.close(fd)  # which releases the record lock
        finally:
            thread_lock.lock.release()

    def remove_file(self, entry: str) -> None:
        """Remove the lock file, as Nova does together with the entry. The caller must hold the lock.

        A process that waits for the lock sees that the inode is gone and tries again.
        """
        self._path(entry).unlink(missing_ok=True)

    def _path(self, entry: str) -> Path:
        return self.directory / f"{self._prefix}{entry}"

    def _thread_lock(self, entry: str) -> _ThreadLock:
        place = self.directory.stat()
        with _in_process_guard:
            return _in_process.setdefault((place.st_dev, place.st_ino, entry), _ThreadLock())

    def _lock_file(self, entry: str) -> int | None:
        """Open and lock the file, return its descriptor; None if another process has it. Raises OSError."""
        while True:
            fd = self._open(entry)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_file_at(self._path(entry), fd):
                    return fd
            except OSError as error:
                os.close(fd)
                if error.errno in _BUSY:
                    return None
                raise
            # The file was removed between open and lock: this lock excludes no other process.
            os.close(fd)

    def _open(self, entry: str) -> int:
        path = self._path(entry)
        try:
            return os.open(path, _OPEN_FLAGS)
        except FileNotFoundError:
            self._create(path)
            return os.open(path, _OPEN_FLAGS | os.O_CREAT, 0o666)

    def _create(self, path: Path) -> None:
        """Create the file with its owner already set, because nova-compute must never find one that it cannot open.

        If this fails, the caller's own attempt succeeds or raises the error.
        """
        draft = path.with_name(f".{path.name}.{new_token()}")
        with suppress(OSError):
            fd = os.open(draft, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                give_to_owner_of(self.directory, fd)
                os.link(draft, path, follow_symlinks=False)
            finally:
                os.close(fd)
                draft.unlink()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheUnusable(str(self.directory), explain(error)) from error


def _is_file_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False
