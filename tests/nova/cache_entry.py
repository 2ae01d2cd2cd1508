"""One image's entry in the cache of a host, as anybody on that host sees it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """All that Nova and qemu could tell apart."""

    name: str
    sha256: str
    size_bytes: int
    mode: str
    owner: tuple[int, int]


def entry_path(instances_path: Path, image: str) -> Path:
    """Return where nova-compute looks for the image."""
    return instances_path / "_base" / entry_name(image)


def entry_name(image: str) -> str:
    return hashlib.sha1(image.encode()).hexdigest()


def entry_facts(instances_path: Path, image: str) -> EntryFacts:
    path = entry_path(instances_path, image)
    found = path.stat()
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return EntryFacts(path.name, digest, found.st_size, stat.filemode(found.st_mode), (found.st_uid, found.st_gid))


def age(instances_path: Path, image: str, by_s: float) -> None:
    """Make the entry look as if it had last been used that long ago."""
    path = entry_path(instances_path, image)
    then = path.stat().st_mtime - by_s
    os.utime(path, (then, then))
