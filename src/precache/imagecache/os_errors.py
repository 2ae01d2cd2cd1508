"""Explains errors of the disk to an operator: what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_ADVICE = {
    errno.EACCES: "permission denied; run the compute as the owner of that directory or as root",
    errno.EPERM: "not permitted; run the compute as the owner of that directory or as root",
    errno.EROFS: "the file system is read-only; mount it for writing",
    errno.ENOENT: "it does not exist; create or mount it, then restart the compute",
    errno.ENOTDIR: "a part of its path is not a directory; correct instances_path",
    errno.ELOOP: "a symbolic link is in the place of a file; find out what made it, and remove it",
    errno.EEXIST: "a file of that name is in the way; move it elsewhere",
    errno.ENOSPC: "the disk is full, in bytes or in files (inodes); free some space or use a larger disk",
    errno.EDQUOT: "the disk quota is used up; raise it or free some space",
    errno.EIO: "the disk reports an input/output error; check it before anything else",
    errno.ESTALE: "its handle on the network file system is stale; mount it again",
    errno.ENOLCK: "the file system has no locks; enable locking on it or use another one",
}

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain(error: OSError) -> str:
    """Return a sentence for the error, with its file if the system names it."""
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return f"{advice} ({error.filename})" if error.filename else advice


def why_full(error: OSError, directory: Path) -> str | None:
    """Return why no more can be written although bytes may be free; None if there is no such reason. Raises OSError."""
    if error.errno == errno.EDQUOT:
        return "the quota of the cache's owner is used up"
    status = os.statvfs(directory)
    return "the file system has no file (inode) left" if status.f_files and not status.f_favail else None
