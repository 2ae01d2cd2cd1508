"""The check of a complete file that the cache will keep: a program may open it without being told its format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from precache.core.errors import UnsafeImage, UnusableImage
from precache.core.images import Image
from precache.fetch.inspect import HEAD_CHUNK_BYTES, inspect
from precache.rules.conversion import RAW
from precache.rules.disk_formats import Content, why_unusable
from precache.rules.qemu_probe import HEAD_BYTES, probe


def check_converted(image: Image, path: Path) -> None:
    """Check a disk that was converted to raw. Raises UnsafeImage if it looks like an image itself, OSError.

    A program that opens the entry without a given format would follow the references in it.
    """
    with path.open("rb") as file:
        found = probe(file.read(HEAD_BYTES))
    if found != RAW:
        raise UnsafeImage(image.id, f"Converted to raw, but format is now {found}")


def check_length(record: Image, result: Path, expected_bytes: int) -> None:
    """Raise UnusableImage unless the file is as long as the disk: later Nova trusts the entry's name."""
    found = result.stat().st_size
    if found != expected_bytes or not found:
        raise UnusableImage(record.id, f"the result has {found} bytes in place of the disk's {expected_bytes}")


def check_as_is(image: Image, path: Path, *, deep: bool) -> None:
    """Check an image that is kept as it is. Raises UnsafeImage, UnusableImage, OSError.

    deep: as of `inspect`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        inspect(image, _chunks(fd), deep=deep)
        size_bytes = os.fstat(fd).st_size
        content = Content(size_bytes=size_bytes, read=lambda offset, length: os.pread(fd, length, offset))
        reason = why_unusable(image.disk_format, content)
    finally:
        os.close(fd)
    if reason is not None:
        raise UnusableImage(image.id, reason)


def _chunks(fd: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(fd, HEAD_CHUNK_BYTES, offset):
        yield chunk
        offset += len(chunk)
