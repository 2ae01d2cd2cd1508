"""Owner and mode of the files that Precache makes on the host's disk.

Nova creates its files as its own user, with the modes of its umask. A file that Precache makes as root must not block
Nova: a lock file that nova-compute cannot open would fail every boot from that image. So as root it gives its files to
the owner of the directory. Another user cannot change the owner of files.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from precache.core.errors import CacheUnusable

_log = logging.getLogger(__name__)

_UMASK_LINE = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_USUAL_UMASK = 0o022


def file_mode() -> int:
    """Return the mode of a new file of this process, as open() would set it."""
    return 0o666 & ~_umask()


def give_to_owner_of(directory: Path | int, fd: int) -> None:
    """As root, give the open file the owner of `directory`; as any other user do nothing.

    directory: a path, or a descriptor if the path may be replaced meanwhile. Raises OSError.
    """
    if os.geteuid() != 0:
        return
    parent, own = _status(directory), os.fstat(fd)
    if (parent.st_uid, parent.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(fd, parent.st_uid, parent.st_gid)


def _status(directory: Path | int) -> os.stat_result:
    return os.fstat(directory) if isinstance(directory, int) else directory.stat()


def make_directory(path: Path) -> None:
    """Create the directory and its parents if absent, each with the owner of the one above it. Raises OSError."""
    if path.is_dir():
        return
    if path.parent != path:
        make_directory(path.parent)
    path.mkdir(exist_ok=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner_of(path.parent, fd)
    finally:
        os.close(fd)


def check_writable(directory: Path) -> None:
    """Raise CacheUnusable unless files can be made here; warn if nova-compute could not open them."""
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        raise CacheUnusable(
            str(directory),
            "this user cannot write there; run the compute as the owner of that directory or as root, and mount it "
            "for writing",
        )
    owner = directory.stat().st_uid
    if os.geteuid() not in (0, owner):
        _log.warning(
            "%s belongs to uid %d but the compute runs as uid %d: nova-compute could not open files that are made "
            "here; run the compute as that user or as root",
            directory,
            owner,
            os.geteuid(),
        )


def _umask() -> int:
    # os.umask() can only be read by changing it, for every thread at once.
    try:
        found = _UMASK_LINE.search(Path("/proc/self/status").read_text())
    except OSError:
        return _USUAL_UMASK
    return int(found[1], 8) if found else _USUAL_UMASK
