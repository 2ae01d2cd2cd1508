"""How a complete file gets its name in the cache. Nova trusts the name alone: no size, no digest is looked at again.

The directory can belong to a user that we do not trust with the files of root: nova. That user can replace any name in
it, at any moment. So the file is opened once, through no link, and all that is changed is changed on what was opened.
"""

from __future__ import annotations

import errno
import os
import stat
from datetime import datetime
from pathlib import Path

from precache.imagecache.ownership import file_mode, give_to_owner_of

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IS_LINK = frozenset({errno.ELOOP, errno.EMLINK})


def publish(temporary: Path, final: Path, now: datetime) -> None:
    """Return the complete, verified file its name, durably: after a power cut the name means all of it or nothing.

    The file gets the mode and owner that Nova's would have, and the mtime `now`, from which its expiry counts.
    temporary: in the directory of `final`. Raises OSError, FileExistsError if it is a link or has another name, too.
    """
    directory = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
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
    finally:
        os.close(directory)


def open_own(name: str, directory: int) -> int:
    """Open a file that this process made in the directory, and return its descriptor.

    Raises FileExistsError if the name now means something else: a link, a pipe, a file that has another name, too,
    or one that neither we nor the directory's owner own.
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
    """See that the name means the file that was verified, not one that took its name in the last moment."""
    if not os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), os.fstat(fd)):
        os.unlink(name, dir_fd=directory)
        raise _replaced(name)


def _replaced(name: str) -> FileExistsError:
    return FileExistsError(
        None, "another process put something else in the place of this file; find out which, and stop it", name
    )
