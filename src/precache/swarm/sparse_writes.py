"""Writes to a file whose zeros are holes."""

from __future__ import annotations

import ctypes
import os

_GRAIN_BYTES = 4096
_ZERO_GRAIN = bytes(_GRAIN_BYTES)
_KEEP_SIZE_AND_PUNCH_HOLE = 1 | 2  # of fallocate(2)
_MOST_ZEROS = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def write_data(fd: int, data: memoryview, offset: int, *, is_hole: bool) -> None:
    """Write the data. is_hole: the file is zero there, so that zeros need not be written. Raises OSError."""
    if not is_hole:
        _write(fd, data, offset)
        return
    start = 0
    for at in range(0, len(data), _GRAIN_BYTES):
        if data[at : at + _GRAIN_BYTES] == _ZERO_GRAIN:
            _write(fd, data[start:at], offset + start)
            start = at + _GRAIN_BYTES
    _write(fd, data[start:], offset + start)


def clear_range(fd: int, offset: int, length: int) -> None:
    """Make the range zero: a hole where the file system can make one. Raises OSError."""
    size = os.fstat(fd).st_size
    length = min(length, size - offset)
    punched = _libc.fallocate(
        ctypes.c_int(fd), ctypes.c_int(_KEEP_SIZE_AND_PUNCH_HOLE), ctypes.c_int64(offset), ctypes.c_int64(length)
    )
    if punched == 0:
        return
    for at in range(0, length, _MOST_ZEROS):
        _write(fd, memoryview(bytes(min(_MOST_ZEROS, length - at))), offset + at)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
