"""Reads an image file once: its hash, its format and the size of the disk inside."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
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


def read_facts(file: ImageFile, stop: threading.Event) -> FileFacts | None:
    """Return what is in the file; None if it changed while it was read, or `stop` was set.

    Raises OSError if the file cannot be read.
    """
    sha512, md5 = hashlib.sha512(), hashlib.md5(usedforsecurity=False)
    with file.path.open("rb", buffering=0) as data:
        disk_format = _disk_format(file.path)
        while block := data.read(BLOCK_BYTES):
            if stop.is_set():
                return None
            sha512.update(block)
            md5.update(block)
        virtual_size = _virtual_size(file, disk_format)
        if Fingerprint.of(os.fstat(data.fileno())) != file.fingerprint:
            return None
    return FileFacts(sha512.hexdigest(), md5.hexdigest(), disk_format, virtual_size)


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
