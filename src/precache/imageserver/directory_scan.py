"""Which files of the directory are image files. Uses only names and inodes; reads no content."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import Unavailable
from precache.core.images import DiskFormat
from precache.imageserver.records import Fingerprint


class ImagesUnreadable(Unavailable):
    """The directory of images cannot be read, which differs from having no images."""

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(f"The directory of images {directory} cannot be read: {reason}; mount it or put it back")


DISK_FORMAT_BY_ENDING = {
    ".qcow2": DiskFormat.QCOW2,
    ".raw": DiskFormat.RAW,
    ".img": DiskFormat.RAW,
    ".iso": DiskFormat.ISO,
    ".vmdk": DiskFormat.VMDK,
    ".vhd": DiskFormat.VHD,
    ".vhdx": DiskFormat.VHDX,
    ".vdi": DiskFormat.VDI,
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The current state of a file that may be an image."""

    name: str
    path: Path
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file with an image's extension that cannot be one, with the reason."""

    name: str
    reason: str


def scan_directory(directory: Path) -> Iterator[ImageFile | SkippedFile]:
    """Return the directory's image files by name, and files with an image's extension that are not images.

    Hidden files and other extensions are ignored: rsync and browsers write to such names while they copy. Links to
    files are followed. Raises ImagesUnreadable.
    """
    try:
        paths = sorted(directory.iterdir())
    except OSError as exc:
        raise ImagesUnreadable(str(directory), exc.strerror or str(exc)) from exc
    for path in paths:
        if not path.name.startswith(".") and path.suffix.lower() in DISK_FORMAT_BY_ENDING:
            yield _inspect_file(path)


def _inspect_file(path: Path) -> ImageFile | SkippedFile:
    try:
        found = path.stat()
    except OSError as exc:
        return SkippedFile(path.name, exc.strerror or str(exc))
    if not stat.S_ISREG(found.st_mode):
        return SkippedFile(path.name, "it is not a regular file")
    return ImageFile(path.name, path, Fingerprint.of(found))
