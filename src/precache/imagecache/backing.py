"""Which files a disk image stands on, read from headers alone.

A guest may write what it likes into its disk; all that a name in a header does here is to keep a file of the cache from
being removed.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precache.core.errors import DiskUnreadable
from precache.imagecache.qemu_img import read_info

_QCOW_MAGIC = b"QFI\xfb"
_QCOW_HEADER = struct.Struct(
    ">4sIQI"
)  # magic, version, offset and length of the backing file's name; qcow and qcow2 alike
_LONGEST_NAME_BYTES = 1023

# Formats that may stand on another file too. They are rare in instance directories, so qemu-img reads their headers.
_OTHER_LAYERED = (
    b"QED\0",
    b"KDMV",
    b"COWD",
    b"# Disk De",
    b"conectix",
    b"vhdxfile",
    b"WithoutFreeSpace",
    b"WithouFreSpacExt",
)

_DEEPEST_CHAIN = 32


def backing_chain(disk: Path) -> Iterator[Path]:
    """Give the files that the disk stands on, nearest first; the last may not exist. Nothing for a raw disk.

    Raises DiskUnreadable if any file of the chain that exists cannot be understood.
    """
    for _ in range(_DEEPEST_CHAIN):
        name = _backing_name(disk)
        if name is None:
            return
        disk = disk.parent / name  # relative names are relative to the file that holds them
        yield disk
    raise DiskUnreadable(str(disk), f"more than {_DEEPEST_CHAIN} files stand one on another")


def _backing_name(path: Path) -> str | None:
    try:
        # Not to be held up by a named pipe.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None  # gone, and what it stood on is free
    except OSError as error:
        raise DiskUnreadable(str(path), error.strerror or str(error)) from error
    try:
        kind = os.fstat(fd).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
            return None
        return _name_in_header(path, fd)
    except OSError as error:
        raise DiskUnreadable(str(path), error.strerror or str(error)) from error
    finally:
        os.close(fd)


def _name_in_header(path: Path, fd: int) -> str | None:
    start = os.pread(fd, _QCOW_HEADER.size, 0)
    if start.startswith(_OTHER_LAYERED):
        found = read_info(path).get("full-backing-filename")
        return None if found is None else _file_name(path, str(found))
    if not start.startswith(_QCOW_MAGIC):
        return None
    if len(start) < _QCOW_HEADER.size:
        raise DiskUnreadable(str(path), "its qcow2 header is cut short")
    _, _, offset, length = _QCOW_HEADER.unpack(start)
    if offset == 0:
        return None
    name = os.pread(fd, length, offset) if 0 < length <= _LONGEST_NAME_BYTES and offset < 1 << 62 else b""
    if not name or len(name) != length:
        raise DiskUnreadable(str(path), "its qcow2 header names no readable backing file")
    return _file_name(path, os.fsdecode(name))


def _file_name(path: Path, name: str) -> str | None:
    """Give the local file that qemu's notation means; None for one on a network."""
    if name.startswith("json:"):
        try:
            return _file_in_json(json.loads(name.removeprefix("json:")))
        except ValueError as error:
            raise DiskUnreadable(str(path), f"its backing file is {name!r}") from error
    if name.startswith("file:"):
        return name.removeprefix("file:")
    return None if "://" in name or name.startswith(("nbd:", "rbd:", "iscsi:")) else name


def _file_in_json(value: Any) -> str | None:
    """Find the file name in a block description, however deep it is nested."""
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        if key.rpartition(".")[2] == "filename" and isinstance(inner, str):
            return inner
        found = _file_in_json(inner)
        if found is not None:
            return found
    return None
