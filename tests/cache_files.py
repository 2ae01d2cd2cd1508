"""The files of a cache directory, without those that belong to no image, such as the memory of the cleaner."""

from __future__ import annotations

from pathlib import Path


def files_of(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if not path.name.startswith(".precache-"))
