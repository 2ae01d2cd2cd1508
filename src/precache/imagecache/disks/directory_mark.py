"""A small file by which a directory is recognized: `.precache-directory`, with a random text.

A path does not say whether its file system is mounted, and device numbers change when a machine starts.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from precache.imagecache.ownership import file_mode, give_to_owner_of
from precache.imagecache.publish import open_directory

MARK_NAME = ".precache-directory"

_MARK = re.compile(r"[0-9a-f]{32}")
_MARK_BYTES = 16
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def mark_of(directory: Path) -> str | None:
    """Return the directory's mark; None if it has none, or is not there. Raises OSError if it cannot be read."""
    try:
        with open_directory(directory) as fd:
            return _read(fd)
    except (FileNotFoundError, NotADirectoryError):
        return None


def mark_directory(directory: Path) -> str:
    """Return the directory's mark; make it if there is none. Durable; safe for several processes.

    Raises OSError, such as FileExistsError if something else has the mark's name.
    """
    with open_directory(directory) as fd:
        mark = _read(fd)
        if mark is None:
            _make(fd)
            mark = _read(fd)
            os.fsync(fd)
        if mark is None:
            raise FileExistsError(None, "a file of that name is in the way", str(directory / MARK_NAME))
        return mark


def _read(directory: int) -> str | None:
    try:
        fd = os.open(MARK_NAME, _READ_FLAGS, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        found = os.read(fd, 2 * _MARK_BYTES + 1).decode("ascii", errors="replace").strip()
    finally:
        os.close(fd)
    return found if _MARK.fullmatch(found) else None


def _make(directory: int) -> None:
    """Store a mark in the directory, unless it has one by then: the first of several processes wins."""
    draft = f"{MARK_NAME}.{secrets.token_hex(_MARK_BYTES)}"
    fd = os.open(draft, _WRITE_FLAGS, 0o600, dir_fd=directory)
    try:
        os.write(fd, secrets.token_hex(_MARK_BYTES).encode() + b"\n")
        os.fchmod(fd, file_mode() | 0o444)
        give_to_owner_of(directory, fd)
        os.fsync(fd)
        # By descriptor: the draft's name may mean something else by now.
        with suppress(FileExistsError):
            os.link(f"/proc/self/fd/{fd}", MARK_NAME, dst_dir_fd=directory)
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
