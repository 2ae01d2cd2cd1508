"""The file of a promise: the bytes that a fetch has still to write to each of its files, and what these occupied then.

So what has been written since counts no more. The fetch holds a lock on the file as long as it lives, so a promise ends
with its process. The caller excludes others that make promises.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from precache.imagecache.names import parse_temporary, temporary_name
from precache.imagecache.space.disk_usage import allocated_by

_KIND = "promise"
_LENGTH = 512  # bytes of the file, always: a reader without the lock never finds half of it


class _FilePromise(NamedTuple):
    """The promise for one file. pending_bytes: still to be written when the file occupied `allocated_bytes`."""

    pending_bytes: int
    allocated_bytes: int

    def left(self, allocated_bytes: int) -> int:
        return max(0, self.pending_bytes - (allocated_bytes - self.allocated_bytes))


class PromiseFile:
    """The promise of one fetch, beside the files of its staging. Used by that fetch alone, by one thread at a time."""

    def __init__(self, *, directory: Path, entry: str, token: str) -> None:
        self._directory, self._entry, self._token = directory, entry, token
        self._path = self._path_of(_KIND)
        self._fd: int | None = None

    @property
    def name(self) -> str:
        return self._path.name

    def write(self, pending: Mapping[str, int]) -> None:
        """Store what is still to be written to the files of these kinds; make the file at first. Raises OSError."""
        files = {kind: _FilePromise(count, allocated_by(self._path_of(kind))) for kind, count in pending.items()}
        text = json.dumps({"files": files}).ljust(_LENGTH).encode()
        if self._fd is None:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            self._fd = fd
            fcntl.flock(fd, fcntl.LOCK_EX)
        os.pwrite(self._fd, text, 0)

    def left(self) -> int:
        """Return what is still to be written; 0 if nothing was promised."""
        return left_of(self._path)

    def remove(self) -> None:
        """Remove the file; harmless if there is none."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):  # without its lock the file counts no more
                self._path.unlink(missing_ok=True)
            os.close(fd)

    def _path_of(self, kind: str) -> Path:
        return self._directory / temporary_name(self._entry, self._token, kind)


def promises_in(directory: Path, without: Collection[str] = ()) -> Iterator[Path]:
    """Return the files of promises in the directory. without: names of files or of entries. Raises OSError."""
    with os.scandir(directory) as names:
        for name in (each.name for each in names):
            parsed = parse_temporary(name) if name.endswith(f"-{_KIND}") else None
            if parsed is not None and parsed[0] not in without and name not in without:
                yield directory / name


def left_of(path: Path) -> int:
    """Return what of the promise at this path is still to be written; 0 if its fetch has ended."""
    parsed = parse_temporary(path.name)
    files = _read(path)
    if parsed is None or files is None:
        return 0
    return sum(
        promised.left(allocated_by(path.with_name(temporary_name(*parsed, kind)))) for kind, promised in files.items()
    )


def _read(path: Path) -> dict[str, _FilePromise] | None:
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
