"""Reads an image file once: its hash, its format and the size of the disk inside."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from precache.core.images import DiskFormat
from precache.imageserver.directory_scan import DISK_FORMAT_BY_ENDING, ImageFile
from precache.imageserver.records import FileFacts, Fingerprint

_log = logging.getLogger(__name__)

BLOCK_BYTES = 1024 * 1024  # large enough that the loop costs nothing beside the hashing
_LARGEST_DISK_BYTES = 2**63 - 1  # no file system has larger files
_QCOW_MAGIC = b"QFI\xfb"

# What the inspectors raise for a broken image: their own error, or one that its invalid numbers cause.
_UNREADABLE_FORMAT = (
    format_inspector.ImageFormatError,
    OSError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)


class FileChanged(Exception):
    """The file is no longer there by its name, or has changed."""


class FileReading:
    """Reads a file once, block by block. Opens it; raises OSError if that fails."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._data = file.path.open("rb", buffering=0)
        self._sha512, self._md5 = hashlib.sha512(), hashlib.md5(usedforsecurity=False)
        self._bytes_read = 0
        _log.info("image file %r: hashing %.1f MB", file.name, file.fingerprint.size_bytes / 1e6)

    @property
    def bytes_left(self) -> int:
        return self._file.fingerprint.size_bytes - self._bytes_read

    def read_block(self) -> FileFacts | None:
        """Read the next block; return the facts after the last one, before that None.

        Raises FileChanged, also if another file has the name or none has; OSError if the file cannot be read.
        """
        block = self._data.read(BLOCK_BYTES)
        self._sha512.update(block)
        self._md5.update(block)
        self._bytes_read += len(block)
        facts = None
        if not block:
            disk_format = _disk_format(self._file.path)
            virtual_size = _virtual_size(self._file, disk_format)
            facts = FileFacts(self._sha512.hexdigest(), self._md5.hexdigest(), disk_format, virtual_size)
        self._check_unchanged()
        return facts

    def close(self) -> None:
        self._data.close()

    def _check_unchanged(self) -> None:
        try:
            found = Fingerprint.of(self._file.path.stat())
        except FileNotFoundError:
            raise FileChanged from None
        if found != self._file.fingerprint or Fingerprint.of(os.fstat(self._data.fileno())) != found:
            raise FileChanged


def _disk_format(path: Path) -> str:
    """Return Glance's name for the extension; `.img` can be raw or qcow2, depending on the content."""
    declared = DISK_FORMAT_BY_ENDING[path.suffix.lower()]
    if path.suffix.lower() == ".img":
        with path.open("rb") as head:
            if head.read(len(_QCOW_MAGIC)) == _QCOW_MAGIC:
                return DiskFormat.QCOW2
    return declared


def _virtual_size(file: ImageFile, disk_format: str) -> int | None:
    """Return the size of the disk inside; None if the content does not have it or does not match the file's name."""
    if disk_format == DiskFormat.RAW:
        return file.fingerprint.size_bytes
    try:
        found = format_inspector.detect_file_format(str(file.path))
        if found is None or str(found) != disk_format:
            return None
        size = int(found.virtual_size)
    except _UNREADABLE_FORMAT as exc:
        _log.info("image file %r: the size of the disk inside is unknown: %s", file.name, exc)
        return None
    # The inspectors return 0 if they do not know it, and a broken header may have any number.
    return size if 0 < size <= _LARGEST_DISK_BYTES else None
