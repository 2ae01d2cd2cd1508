"""The files of a cache directory, without those by which hosts recognize a directory that they share."""

from __future__ import annotations

from pathlib import Path

OF_THE_DIRECTORY = frozenset({".precache-directory", ".precache-sharers"})


def files_of(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.name not in OF_THE_DIRECTORY)
