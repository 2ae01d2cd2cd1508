"""On a host: room for images on the disk of the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator

from precache.cli.columns import human_bytes
from precache.config.load import Config
from precache.doctor.directories import cache_directory
from precache.doctor.findings import Finding, failed, ok, skipped, warning

SCARCE_BYTES = 20 << 30
"""A usual cloud image takes a few GiB while it is downloaded and converted; instances need the disk, too."""


def look_at_disk_space(config: Config) -> Iterator[Finding]:
    path = cache_directory(config)
    place = next((each for each in (path, *path.parents) if each.is_dir()), None)
    if place is None or not config.host.instances_path.is_dir():
        yield skipped(f"{config.host.instances_path} does not exist")
        return
    found = os.statvfs(place)
    yield judge_space(str(place), found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def judge_space(place: str, free_bytes: int, free_files: int | None) -> Finding:
    """Judge what is free. free_files: how many more files there can be; None where there is no such limit."""
    if free_bytes == 0 or free_files == 0:
        what = "space" if free_bytes == 0 else "file (inode)"
        return failed(f"no {what} is free on the disk of {place}", "free some, or no image can be cached")
    told = f"{human_bytes(free_bytes)} are free on the disk of {place}"
    if free_bytes < SCARCE_BYTES:
        return warning(told, "see that the images that you cache fit in, converted and beside the instances")
    return ok(told)
