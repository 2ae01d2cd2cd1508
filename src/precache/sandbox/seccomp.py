"""A filter of system calls: a tool that inherits its connection needs no other, and need not trace processes.

Landlock does not cover Unix sockets with a path. The filter exists for the processors listed here.
Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)

_SET_MODE_FILTER = 1
_SPEC_ALLOW = 1 << 2
"""Without this flag older kernels disable speculation for the process, which makes it slower."""

# (AUDIT_ARCH, seccomp, then the refused: socket, connect, bind, listen, ptrace, process_vm_readv, process_vm_writev,
# io_uring_setup, which can do all of these, and open_by_handle_at)
_BY_MACHINE = {
    "x86_64": (0xC000003E, 317, (41, 42, 49, 50, 101, 310, 311, 425, 304)),
    "aarch64": (0xC00000B7, 277, (198, 203, 200, 201, 117, 270, 271, 425, 265)),
}

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_X32_BIT = 0x40000000
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_INSTRUCTION = struct.Struct("HBBI")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class Filter:
    """The filter in the kernel's format. `apply` is for a child between fork and exec: it takes no lock."""

    def __init__(self, machine: str = platform.machine()) -> None:
        """machine: as printed by `uname -m`."""
        self._call: int | None = None
        if machine in _BY_MACHINE:
            architecture, self._call, refused = _BY_MACHINE[machine]
            self._code = _instructions(architecture, refused)  # kept alive, because the program only points to it
            self._program = _Program(len(self._code) // _INSTRUCTION.size, self._code)
            self._pointer = ctypes.byref(self._program)

    @property
    def is_known(self) -> bool:
        """Return whether there is a filter for this processor."""
        return self._call is not None

    def apply(self) -> bool:
        """Apply the filter to this thread and its children; return whether that worked."""
        return int(_libc.syscall(self._call, _SET_MODE_FILTER, _SPEC_ALLOW, self._pointer)) == 0


def _instructions(architecture: int, refused: tuple[int, ...]) -> bytes:
    last = len(refused)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # the calls of another architecture have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, last + 1, 0, _X32_BIT),
        *((_EQUAL, last - at, 0, number) for at, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(_INSTRUCTION.pack(*line) for line in lines)
