"""Landlock: which files a process may open, enforced by the kernel (Linux 5.13 or newer).

The rules are made before the fork and take effect in the child by one system call that needs no privilege.
The C library has no functions for these calls. Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# The same numbers on every architecture that Python has wheels for.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_FILE_ONLY = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

# By the version of the interface: these rights are refused unless a rule allows them. Files: from the 13 rights of
# the first version; 2 adds links to other directories, 3 truncation, 5 commands to devices.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_FILE_RIGHTS = (1 << 16) - 1
_TCP_SINCE, _TCP_RIGHTS = 4, 0b11  # bind, connect
_SCOPE_SINCE, _SCOPES = 6, 0b11  # abstract Unix sockets and signals of processes outside

_RULESET = struct.Struct("QQQ")
_PATH_BENEATH = struct.Struct("=Qi")


def version() -> int:
    """Return the version of the kernel's interface; 0 where there is none, or it was turned off at boot."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def new_ruleset(*, readable: Iterable[Path], writable: Iterable[Path | int]) -> int:
    """Return a descriptor of a ruleset: only these files, and all below these directories, can be opened.

    readable: may be read and executed. writable, by path or
    open descriptor: may be read, written and truncated; a symbolic link allows nothing,
    because another user may have made it. Missing paths are left out. The caller closes the descriptor. Raises OSError.
    """
    abi = version()
    handled = _FILE_RIGHTS.get(abi, _ALL_FILE_RIGHTS)
    attributes = _RULESET.pack(handled, _TCP_RIGHTS, _SCOPES)
    size = 8 if abi < _TCP_SINCE else 16 if abi < _SCOPE_SINCE else 24
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    try:
        for path in readable:
            _allow(ruleset, path, handled & (_EXECUTE | _READ_FILE | _READ_DIR))
        for file in writable:
            _allow(ruleset, file, handled & (_WRITE_FILE | _READ_FILE | _TRUNCATE), os.O_NOFOLLOW)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict_self(ruleset: int) -> bool:
    """Apply the rules to this thread and its children; return whether that worked.

    For a child between fork and exec: takes no lock. Needs no_new_privs.
    """
    return int(_libc.syscall(_RESTRICT_SELF, ruleset, 0)) == 0


def _allow(ruleset: int, file: Path | int, rights: int, flags: int = 0) -> None:
    try:
        place = os.dup(file) if isinstance(file, int) else os.open(file, os.O_PATH | os.O_CLOEXEC | flags)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        kind = os.fstat(place).st_mode
        if stat.S_ISLNK(kind):
            return
        if not stat.S_ISDIR(kind):
            rights &= _FILE_ONLY
        rule = _PATH_BENEATH.pack(rights, place)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(place)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
    return result
