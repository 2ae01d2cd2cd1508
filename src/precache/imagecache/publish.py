"""How a complete file gets its name in the cache. Nova trusts the name: it checks neither size nor digest again.

The directory can belong to the user nova, who must not get control of root's files and can replace any name in it at
any moment. So the file is opened once, not through a link, and all changes are made on the descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from precache.imagecache.ownership import file_mode, give_to_owner_of

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IS_LINK = frozenset({errno.ELOOP, errno.EMLINK})


def publish(temporary: Path, final: Path, now: datetime) -> None:
    """Rename the complete, verified file durably: after a power cut the file is complete, or the name is absent.

    The file gets the mode and owner of Nova's files, and the mtime `now`, from which its expiry counts.
    temporary: in the directory of `final`. Raises OSError, FileExistsError if it is a link or has another hard link.
    """
    with open_directory(final.parent) as directory:
        fd = open_own(temporary.name, directory)
        try:
            os.fchmod(fd, file_mode())
            give_to_owner_of(directory, fd)
            os.utime(fd, (now.timestamp(), now.timestamp()))
            os.fsync(fd)
            os.rename(temporary.name, final.name, src_dir_fd=directory, dst_dir_fd=directory)
            _check_same(final.name, directory, fd)
        finally:
            os.close(fd)
        os.fsync(directory)


@contextmanager
def open_directory(directory: Path) -> Iterator[int]:
    """Open the directory, so that all is read and written in this one also if its path is replaced meanwhile."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def open_own(name: str, directory: int) -> int:
    """Open a file that this process made in the directory, and return its descriptor.

    Raises FileExistsError if the name is now something else: a symbolic link, a pipe, a file with another hard link, or
    one of another user than this process's and the directory's owner.
    """
    try:
        fd = os.open(name, _READ_FLAGS, dir_fd=directory)
    except OSError as error:
        if error.errno in _IS_LINK:
            raise _replaced(name) from error
        raise
    found = os.fstat(fd)
    owners = {os.geteuid(), os.fstat(directory).st_uid}
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid in owners:
        return fd
    os.close(fd)
    raise _replaced(name)


def _check_same(name: str, directory: int, fd: int) -> None:
    """Check that the name is still that of the verified file."""
    if not os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), os.fstat(fd)):
        os.unlink(name, dir_fd=directory)
        raise _replaced(name)


def _replaced(name: str) -> FileExistsError:
    return FileExistsError(None, "another process replaced this file; find out which, and stop it", name)
