"""The priority of one thread for processors and disks: what guests need comes first.

The C library has no function for the system calls of disks. Source: ioprio_set(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)

_CALLS = {"x86_64": (251, 252), "aarch64": (30, 31)}
"""The numbers of ioprio_set and ioprio_get."""

_THREAD, _THIS_ONE = 1, 0

IDLE_IO = 3 << 13
"""Served only while nothing else uses the disk."""

_CLASSES = {"best-effort": 2 << 13 | 7, "idle": IDLE_IO}
"""Of best effort the lowest level."""


@dataclass(frozen=True, slots=True)
class ThreadPriority:
    """nice: 0 to 19, for the processor. io_class: `best-effort` or `idle`, for disks."""

    nice: int
    io_class: str = "best-effort"

    def lower(self) -> None:
        """Lower the priority of this thread to this, until the thread ends, as far as the system permits it."""
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < self.nice:
            os.setpriority(os.PRIO_PROCESS, thread, self.nice)  # Linux: of this thread alone
        set_io_priority(_CLASSES[self.io_class])


def io_priority() -> int | None:
    """Return the priority of this thread's reads and writes; None where the machine has none."""
    calls = _CALLS.get(platform.machine())
    found = _libc.syscall(calls[1], _THREAD, _THIS_ONE) if calls else -1
    return found if found >= 0 else None


def set_io_priority(priority: int) -> bool:
    """Set the priority of this thread's reads and writes; return whether the machine could do so."""
    calls = _CALLS.get(platform.machine())
    return calls is not None and _libc.syscall(calls[0], _THREAD, _THIS_ONE, priority) >= 0
