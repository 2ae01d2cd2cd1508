"""Instance disks on cache entries: a qcow2 file that holds what the guest writes, on a backing file in the cache.

The format of the backing file is always written into the overlay: a qemu left to guess it could take the first bytes of
a raw disk, which its owner chose, for a header that names any file of the host.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import DiskExists, DiskRefused, DiskUnreadable
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import file_mode, give_to_owner_of
from precache.imagecache.qemu_img import QemuImgFailed, read_info, run
from precache.imagecache.staging import new_token

_QCOW2_MAGIC = b"QFI\xfb"
_SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Base:
    """A file of the cache as a backing file. cluster_size: of a qcow2 base, for the overlay to have the same."""

    path: Path
    disk_format: str
    virtual_size_bytes: int
    cluster_size_bytes: int | None = None


def inspect_base(path: Path, *, force_raw: bool) -> Base:
    """Tell what a cache entry is. Raises DiskUnreadable if it is not safe to stand on.

    force_raw: this host keeps every entry in raw format, so the content is not looked at to guess one.
    """
    if force_raw:
        return _raw_base(path)
    info = read_info(path)
    details = info.get("format-specific", {}).get("data", {})
    if info.get("backing-filename") or details.get("data-file"):
        raise DiskUnreadable(str(path), "it stands on another file itself, which no image in the cache may do")
    is_qcow2 = info["format"] == "qcow2"
    return Base(path, info["format"], info["virtual-size"], info.get("cluster-size") if is_qcow2 else None)


def _raw_base(path: Path) -> Base:
    try:
        with path.open("rb") as file:
            start, size = file.read(len(_QCOW2_MAGIC)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DiskUnreadable(str(path), explain(error)) from error
    if start == _QCOW2_MAGIC:
        raise DiskUnreadable(
            str(path),
            "it is qcow2 although force_raw_images is on; it was cached under another setting: "
            "remove it, and it will be fetched anew",
        )
    return Base(path, "raw", -(-size // _SECTOR_BYTES) * _SECTOR_BYTES)


def create_overlay(base: Base, path: Path, size_bytes: int) -> None:
    """Make a new disk at `path`, all at once or not at all; a file that is there stays.

    Raises DiskExists, DiskRefused.
    """
    draft = path.with_name(f".{path.name}.precache-{new_token()}")
    try:
        _run_create(base, draft, size_bytes)
        fd = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(fd, file_mode())
            give_to_owner_of(path.parent, fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.link(draft, path)  # unlike rename, never replaces a file
    except FileExistsError:
        raise DiskExists(str(path)) from None
    except QemuImgFailed as error:
        raise DiskRefused(str(path), str(error)) from error
    except OSError as error:
        raise DiskRefused(str(path), explain(error)) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _run_create(base: Base, draft: Path, size_bytes: int) -> None:
    options = [] if base.cluster_size_bytes is None else ["-o", f"cluster_size={base.cluster_size_bytes}"]
    # -u: size and format are known, so the backing file need not be opened.
    backing = ["-u", "-b", str(base.path.absolute()), "-F", base.disk_format]
    run("create", "-q", "-f", "qcow2", *backing, *options, str(draft), str(size_bytes))
