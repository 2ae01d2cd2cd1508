"""On a host: the directories of instances and of the image cache, their owner, write access and free space."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from precache.config.load import Config
from precache.core.sizes import DiskAmount, human_bytes
from precache.doctor.findings import Finding, failed, ok, skipped, warning
from precache.imagecache.space.disk_usage import DiskSize, disk_size


def cache_directory(config: Config) -> Path:
    return config.host.instances_path / config.image_cache.subdirectory_name


def check_instances(config: Config) -> Iterator[Finding]:
    """Check that [DEFAULT] instances_path is a writable directory."""
    path = config.host.instances_path
    if not path.exists():
        yield failed(
            f"{path} does not exist",
            "install nova-compute first, correct [DEFAULT] instances_path, or make the directory for the user that "
            "runs the compute",
        )
        return
    yield from check_directory(path, "instances_path")


def check_cache(config: Config) -> Iterator[Finding]:
    """Check that the image cache exists or can be made."""
    path, parent = cache_directory(config), config.host.instances_path
    if path.exists():
        yield from check_directory(path, "the image cache")
        if parent.is_dir() and path.stat().st_uid != parent.stat().st_uid:
            yield warning(
                f"{path} belongs to {user_name(path.stat().st_uid)}, {parent} to {user_name(parent.stat().st_uid)}",
                f"give it to the owner of the other, or nova-compute cannot use it: chown -R {parent.stat().st_uid}",
            )
    elif not parent.is_dir():
        yield skipped(f"{parent} does not exist")
    elif is_writable(parent):
        yield ok(f"{path} will be made at the first start")
    else:
        owner = user_name(parent.stat().st_uid)
        yield failed(f"{path} does not exist, and {user_name(os.geteuid())} cannot make it", run_as(owner))


def check_directory(path: Path, what: str) -> Iterator[Finding]:
    """Check the owner of the directory, and that files can be made there."""
    if not path.is_dir():
        yield failed(f"{what} {path} is not a directory", "rename or remove it")
        return
    found = path.stat()
    owner, us = user_name(found.st_uid), user_name(os.geteuid())
    if not is_writable(path):
        yield failed(f"{what} {path} belongs to {owner} and cannot be written by {us}", run_as(owner))
    elif os.geteuid() not in (0, found.st_uid):
        yield warning(
            f"{what} {path} belongs to {owner}; nova-compute may be unable to open what {us} makes there", run_as(owner)
        )
    elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        yield warning(f"every user may change what is in {what} {path}", f"chmod o-w {path}")
    else:
        yield ok(f"{what} {path} belongs to {owner} and can be written")


def is_writable(path: Path) -> bool:
    # Even root cannot write to a read-only file system.
    return os.access(path, os.W_OK | os.X_OK, effective_ids=True)


def run_as(owner: str) -> str:
    return f"run the compute, and this command, as {owner}{'' if owner == 'root' else ' or as root'}"


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


SCARCE_BYTES = 20 << 30
"""A usual cloud image needs a few GiB while it is downloaded and converted; instances need space too."""


def check_disk_space(config: Config) -> Iterator[Finding]:
    path = cache_directory(config)
    place = next((each for each in (path, *path.parents) if each.is_dir()), None)
    if place is None or not config.host.instances_path.is_dir():
        yield skipped(f"{config.host.instances_path} does not exist")
        return
    found = os.statvfs(place)
    free_files = found.f_favail if found.f_files else None
    yield judge_space(str(place), disk_size(place), free_files, config.image_cache.reserve)


def judge_space(place: str, disk: DiskSize, free_files: int | None, reserve: DiskAmount) -> Finding:
    """Return the finding. free_files: how many more files there can be; None without such a limit."""
    free_bytes, reserve_bytes = disk.free_bytes, reserve.of(disk.total_bytes)
    if free_bytes == 0 or free_files == 0:
        what = "space" if free_bytes == 0 else "file (inode)"
        return failed(f"no {what} is free on the disk of {place}", "free some, or no image can be cached")
    told = f"{human_bytes(free_bytes)} are free on the disk of {place}"
    if free_bytes <= reserve_bytes:
        return warning(
            f"{told}, of which {human_bytes(reserve_bytes)} are reserved for guests",
            "free some space or lower [image_cache] reserve_bytes, or no image can be cached",
        )
    if free_bytes < SCARCE_BYTES:
        return warning(told, "check that the converted images fit in beside the instances")
    return ok(told)
