"""Reads the headers of the formats with backing files: qcow, qcow2, QED and VMDK.

Nothing here opens a file that a header names. Sources: qemu's docs/interop/qcow2.rst and qed_spec.rst; block/vmdk.c.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from precache.rules.disk_formats.qcow2_layout import BACKING_FORMAT_EXTENSION, DATA_FILE_EXTENSION

LAYERED_FORMATS = frozenset({"qcow", "qcow2", "qed", "vmdk"})
"""For all other formats qemu opens only the file itself."""

_LONGEST_NAME_BYTES = 1023
_LONGEST_DESCRIPTOR_BYTES = 64 * 1024  # qemu reads 20 sectors of an embedded one
_LARGEST_OFFSET = 1 << 62

_QCOW_MAGIC, _QED_MAGIC, _VMDK4_MAGIC = b"QFI\xfb", b"QED\0", b"KDMV"
_QCOW = struct.Struct(">4sIQI")  # magic, version, offset and length of the backing file's name
_QCOW2_LENGTH_AT, _QCOW2_FIRST_LENGTH = 100, 72  # version 3 says how long its header is; version 2 knows one length
_EXTENSION = struct.Struct(">II")
_LAST_EXTENSION = 0
_MOST_EXTENSIONS = 64
_QED = struct.Struct("<4s3I5QII")  # offset and length of the backing file's name are last
_QED_HAS_BACKING = 1
_VMDK_DESCRIPTOR_AT = struct.Struct("<QQ")  # start and number of sectors
_VMDK_DESCRIPTOR_OFFSET = 28
_SECTOR_BYTES = 512
_QUOTED = re.compile(rb'"([^"\r\n]{1,1023})"')
_NETWORK = ("nbd:", "rbd:", "iscsi:", "fat:", "nvme:")


class HeaderDamaged(Exception):
    """A header is not valid for its format. Used only inside this package."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Another file that a header names.

    disk_format: of that file, if the header has it. is_certain: False for a text that may not be a file name.
    """

    name: str
    disk_format: str | None = None
    is_certain: bool = True


def format_of(fd: int) -> str | None:
    """Return the format that the first bytes claim; None for a format without backing files, such as raw."""
    start = os.pread(fd, 64, 0)
    if start.startswith(_QCOW_MAGIC):
        return "qcow2" if start[4:8] > b"\0\0\0\1" else "qcow"
    if start.startswith(_QED_MAGIC):
        return "qed"
    return "vmdk" if start.startswith(_VMDK4_MAGIC) or start.lstrip().startswith(b"# Disk De") else None


def read_references(fd: int, disk_format: str) -> list[Reference]:
    """Return the files that the header of a disk of this format names. Raises HeaderDamaged, OSError."""
    read = {"qcow": _read_qcow, "qcow2": _read_qcow, "qed": _read_qed, "vmdk": _read_vmdk}[disk_format]
    return list(read(fd))


def _read_qcow(fd: int) -> Iterator[Reference]:
    start = os.pread(fd, _QCOW.size, 0)
    if len(start) < _QCOW.size or not start.startswith(_QCOW_MAGIC):
        raise HeaderDamaged("its qcow2 header is damaged or cut short")
    _, version, offset, length = _QCOW.unpack(start)
    extensions = dict(_extensions(fd, version)) if version > 1 else {}
    if DATA_FILE_EXTENSION in extensions:
        yield from _files(extensions[DATA_FILE_EXTENSION], "raw")
    if offset:
        backing_format = extensions.get(BACKING_FORMAT_EXTENSION, b"").decode(errors="replace") or None
        yield from _files(_name_at(fd, offset, length), backing_format)


def _extensions(fd: int, version: int) -> Iterator[tuple[int, bytes]]:
    offset = _QCOW2_FIRST_LENGTH
    if version > 2:
        offset = int.from_bytes(os.pread(fd, 4, _QCOW2_LENGTH_AT), "big")
    for _ in range(_MOST_EXTENSIONS):
        head = os.pread(fd, _EXTENSION.size, offset)
        if len(head) < _EXTENSION.size:
            return
        kind, length = _EXTENSION.unpack(head)
        if kind == _LAST_EXTENSION:
            return
        offset += _EXTENSION.size
        yield kind, os.pread(fd, min(length, _LONGEST_NAME_BYTES), offset)
        offset += -(-length // 8) * 8


def _read_qed(fd: int) -> Iterator[Reference]:
    start = os.pread(fd, _QED.size, 0)
    if len(start) < _QED.size or not start.startswith(_QED_MAGIC):
        raise HeaderDamaged("its QED header is damaged or cut short")
    fields = _QED.unpack(start)
    if fields[4] & _QED_HAS_BACKING:
        yield from _files(_name_at(fd, fields[-2], fields[-1]), None)


def _read_vmdk(fd: int) -> Iterator[Reference]:
    """Return every quoted text of the descriptor: the parent and the extents are among them."""
    offset, length = 0, _LONGEST_DESCRIPTOR_BYTES
    start = os.pread(fd, _SECTOR_BYTES, 0)
    if start.startswith(_VMDK4_MAGIC):
        if len(start) < _SECTOR_BYTES:
            raise HeaderDamaged("its VMDK header is cut short")
        at, count = _VMDK_DESCRIPTOR_AT.unpack_from(start, _VMDK_DESCRIPTOR_OFFSET)
        offset, length = at * _SECTOR_BYTES, min(count * _SECTOR_BYTES, _LONGEST_DESCRIPTOR_BYTES)
        if not at or offset > _LARGEST_OFFSET:
            return
    for name in _QUOTED.findall(os.pread(fd, length, offset)):
        yield from (Reference(file.name, is_certain=False) for file in _files(name, None))


def _name_at(fd: int, offset: int, length: int) -> bytes:
    name = os.pread(fd, length, offset) if 0 < length <= _LONGEST_NAME_BYTES and offset < _LARGEST_OFFSET else b""
    if not name or len(name) != length:
        raise HeaderDamaged("its header names no readable backing file")
    return name


def _files(raw_name: bytes, disk_format: str | None) -> Iterator[Reference]:
    """Return the local files of a name in qemu's notation; none for a network protocol."""
    if b"\0" in raw_name:
        raise HeaderDamaged("the name of its backing file has a zero byte")
    name = os.fsdecode(raw_name)
    if name.startswith("json:"):
        try:
            found = list(_files_in_json(json.loads(name.removeprefix("json:"))))
        except (ValueError, RecursionError) as error:
            raise HeaderDamaged(f"its backing file is {name!r}") from error
        # The description names its own driver, so the format in the header does not count.
        yield from (Reference(file) for file in found)
        return
    for prefix in ("file:", "host_device:"):
        name = name.removeprefix(prefix)
    if "://" not in name and not name.startswith(_NETWORK):
        yield Reference(name, disk_format)


def _files_in_json(value: Any) -> Iterator[str]:
    """Return the file names in a block description, at any depth."""
    if isinstance(value, list):
        for inner in value:
            yield from _files_in_json(inner)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.rpartition(".")[2] == "filename" and isinstance(inner, str) and "\0" not in inner:
                yield inner
            yield from _files_in_json(inner)
