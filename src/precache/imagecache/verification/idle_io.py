"""Reads of the lowest priority: a disk whose scheduler knows priorities serves guests first.

The C library has no function for the system call. Source: ioprio_set(2).
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_libc = ctypes.CDLL(None, use_errno=True)

_CALLS = {"x86_64": (251, 252), "aarch64": (30, 31)}
"""The numbers of ioprio_set and ioprio_get."""

_THREAD, _THIS_ONE = 1, 0
_IDLE = 3 << 13


@contextmanager
def idle_io() -> Iterator[None]:
    """Set the lowest priority for the reads of this thread within the block, where the machine can do so."""
    calls = _CALLS.get(platform.machine())
    if calls is None:
        yield
        return
    set_priority, get_priority = calls
    before = _libc.syscall(get_priority, _THREAD, _THIS_ONE)
    if before < 0 or _libc.syscall(set_priority, _THREAD, _THIS_ONE, _IDLE) < 0:
        yield
        return
    try:
        yield
    finally:
        _libc.syscall(set_priority, _THREAD, _THIS_ONE, before)
