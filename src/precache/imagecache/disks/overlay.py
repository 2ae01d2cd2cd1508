"""Instance disks on cache entries: a qcow2 file for the guest's writes, with a backing file in the cache.

The format of the backing file is always written into the overlay. If qemu guessed it, the owner of a raw disk could
write a header into its first bytes that names any file of the host.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from precache.core.errors import DiskExists, DiskRefused, DiskUnreadable
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import file_mode, give_to_owner_of
from precache.imagecache.publish import open_directory
from precache.imagecache.qemu_img import QemuImg, QemuImgFailed, read_info
from precache.imagecache.staging import new_token

_QCOW2_MAGIC = b"QFI\xfb"
_SECTOR_BYTES = 512
_QEMU_NAMES = {"vhd": "vpc", "gpt": "raw", "iso": "raw"}


@dataclass(frozen=True, slots=True)
class Base:
    """A file of the cache as a backing file. cluster_size: of a qcow2 base, for the overlay to have the same."""

    path: Path
    disk_format: str
    virtual_size_bytes: int
    cluster_size_bytes: int | None = None


def inspect_base(path: Path, *, force_raw: bool) -> Base:
    """Return the format of a cache entry. Raises DiskUnreadable if it is not a safe backing file.

    force_raw: this host keeps every entry in raw format, so the format is not read from the content.
    """
    _check_is_file(path)
    disk_format = "raw" if force_raw else _format_of_entry(path)
    if disk_format == "raw":
        return _raw_base(path)
    info = read_info(path, disk_format)
    details = info.get("format-specific", {}).get("data", {})
    if info.get("backing-filename") or details.get("data-file"):
        raise DiskUnreadable(str(path), "it has a backing file itself, which is not allowed in the cache")
    is_qcow2 = disk_format == "qcow2"
    return Base(path, disk_format, info["virtual-size"], info.get("cluster-size") if is_qcow2 else None)


def _check_is_file(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except OSError as error:
        raise DiskUnreadable(str(path), explain(error)) from error
    if not stat.S_ISREG(kind):
        raise DiskUnreadable(
            str(path), "it is a symbolic link or not a regular file, which is not allowed in the cache; remove it"
        )


def _format_of_entry(path: Path) -> str:
    """Return qemu's name of the entry's format. The fetch has compared content and format."""
    try:
        found = str(format_inspector.detect_file_format(str(path)))
    except format_inspector.ImageFormatError as error:
        raise DiskUnreadable(str(path), str(error)) from error
    except OSError as error:
        raise DiskUnreadable(str(path), explain(error)) from error
    return _QEMU_NAMES.get(found, found)


def _raw_base(path: Path) -> Base:
    try:
        with path.open("rb") as file:
            start, size = file.read(len(_QCOW2_MAGIC)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DiskUnreadable(str(path), explain(error)) from error
    if start == _QCOW2_MAGIC:
        raise DiskUnreadable(
            str(path),
            "it is qcow2 although force_raw_images is on, because it was cached with another setting: remove it, and "
            "it will be fetched again",
        )
    return Base(path, "raw", -(-size // _SECTOR_BYTES) * _SECTOR_BYTES)


def create_overlay(base: Base, path: Path, size_bytes: int, qemu_img: QemuImg | None = None) -> None:
    """Make a new disk at `path` atomically; an existing file is not replaced.

    Raises DiskExists, DiskRefused.
    """
    try:
        with open_directory(path.parent) as directory:
            _create_in(directory, base, path.name, size_bytes, qemu_img or QemuImg())
    except FileExistsError:
        raise DiskExists(str(path)) from None
    except QemuImgFailed as error:
        raise DiskRefused(str(path), str(error)) from error
    except OSError as error:
        raise DiskRefused(str(path), explain(error)) from error


def _create_in(directory: int, base: Base, name: str, size_bytes: int, qemu_img: QemuImg) -> None:
    """Make the disk in the open directory. Raises OSError, QemuImgFailed.

    The directory's owner may replace any name in it meanwhile. So after its creation the file is used only through its
    descriptor, also by qemu-img.
    """
    draft = f".{name}.precache-{new_token()}"
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        qemu_img.run(_arguments(base, f"/proc/self/fd/{fd}", size_bytes), writable=(fd,))
        os.fchmod(fd, file_mode())
        give_to_owner_of(directory, fd)
        os.fsync(fd)
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory)  # link, unlike rename, never replaces a file
        os.fsync(directory)
    finally:
        os.close(fd)
        with suppress(OSError):
            os.unlink(draft, dir_fd=directory)


def _arguments(base: Base, draft: str, size_bytes: int) -> list[str]:
    options = [] if base.cluster_size_bytes is None else ["-o", f"cluster_size={base.cluster_size_bytes}"]
    # -u: size and format are known, so the backing file need not be opened.
    backing = ["-u", "-b", str(base.path.absolute()), "-F", base.disk_format]
    return ["create", "-q", "-f", "qcow2", *backing, *options, draft, str(size_bytes)]
