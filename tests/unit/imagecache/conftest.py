"""A host's instances directory with an empty cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId
from precache.imagecache.cache import ImageCache

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
ENTRY = "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
RECORD = f"{ENTRY}.precache"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Run the test without the rights of root, if it has them; its files are then somebody else's."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    with TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock()


@pytest.fixture
def cache(tmp_path: Path, clock: MemoryClock) -> ImageCache:
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=clock)
    cache.start()
    return cache
