"""Corrupt files are kept for a while, and not too many of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.quarantine import MOST_QUARANTINED, QUARANTINE_AGE, Quarantine
from precache.imagecache.space.disk_usage import DiskSize
from precache.rules.expiry import shape_of
from tests.unit.imagecache.cleaning.test_cleaner import OTHER, names, put
from tests.unit.imagecache.conftest import ENTRY


def quarantine_of(cache: ImageCache, clock: MemoryClock, free_bytes: int = 1 << 40) -> Quarantine:
    return Quarantine(directory=cache.directory, clock=clock, look=lambda _directory: DiskSize(1 << 50, free_bytes))


def test_a_moved_file_has_a_name_that_no_cleaner_removes(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock).write_bytes(b"corrupt")

    path = quarantine_of(cache, clock).move(ENTRY)

    assert path == cache.directory / f"{ENTRY}.corrupt-20260101T000000Z"
    assert path.read_bytes() == b"corrupt"
    assert names(cache) == {path.name}
    assert shape_of(path.name) is None


def test_only_the_newest_of_an_image_is_kept(cache: ImageCache, clock: MemoryClock) -> None:
    quarantine = quarantine_of(cache, clock)
    put(cache, ENTRY, clock)
    quarantine.move(ENTRY)
    clock.advance(timedelta(hours=1))
    put(cache, ENTRY, clock)

    path = quarantine.move(ENTRY)

    assert path is not None
    assert names(cache) == {path.name}


def test_only_the_newest_of_all_are_kept(cache: ImageCache, clock: MemoryClock) -> None:
    quarantine = quarantine_of(cache, clock)
    moved: list[Path | None] = []
    for number in range(MOST_QUARANTINED + 2):
        clock.advance(timedelta(hours=1))
        entry = f"{number:040x}"
        put(cache, entry, clock)
        moved.append(quarantine.move(entry))

    assert names(cache) == {path.name for path in moved[2:] if path is not None}


def test_a_directory_with_files_stays_is_told_once_and_does_not_count(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine = quarantine_of(cache, clock)
    (cache.directory / ENTRY).mkdir()
    (cache.directory / ENTRY / "notes").touch()
    directory = quarantine.move(ENTRY)
    moved: list[Path | None] = []
    for number in range(MOST_QUARANTINED):
        clock.advance(timedelta(seconds=1))
        put(cache, f"{number:040x}", clock)
        moved.append(quarantine.move(f"{number:040x}"))

    for _ in range(2):
        quarantine.clean()

    assert directory is not None
    assert names(cache) == {path.name for path in (directory, *moved) if path is not None}
    assert caplog.text.count("move it elsewhere") == 1
    assert quarantine.make_room(1 << 30) >= 0
    assert names(cache) == {directory.name}
    assert "cannot be removed" not in caplog.text


def test_what_is_kept_goes_after_a_week(cache: ImageCache, clock: MemoryClock) -> None:
    quarantine = quarantine_of(cache, clock)
    put(cache, ENTRY, clock)
    quarantine.move(ENTRY)
    put(cache, f"{OTHER}.corrupt-by-hand", clock)
    clock.advance(QUARANTINE_AGE - timedelta(seconds=1))
    quarantine.clean()
    before = names(cache)
    clock.advance(timedelta(seconds=1))

    quarantine.clean()

    assert len(before) == 2
    assert names(cache) == {f"{OTHER}.corrupt-by-hand"}


def test_a_file_whose_space_is_needed_to_fetch_the_image_again_is_not_kept(
    cache: ImageCache, clock: MemoryClock
) -> None:
    put(cache, ENTRY, clock).write_bytes(b"1" * 8192)

    assert quarantine_of(cache, clock, free_bytes=8191).move(ENTRY) is None
    assert names(cache) == set()


@pytest.mark.parametrize(("needed_bytes", "left"), [(1, 2), (4096, 2), (4097, 1), (1 << 40, 0)])
def test_the_oldest_make_room_for_an_image(cache: ImageCache, clock: MemoryClock, needed_bytes: int, left: int) -> None:
    quarantine = quarantine_of(cache, clock)
    moved: list[Path | None] = []
    for number in range(3):
        clock.advance(timedelta(hours=1))
        put(cache, f"{number:040x}", clock).write_bytes(b"1" * 4096)
        moved.append(quarantine.move(f"{number:040x}"))

    freed_bytes = quarantine.make_room(needed_bytes)

    assert freed_bytes == 4096 * (3 - left)
    assert names(cache) == {path.name for path in moved[3 - left :] if path is not None}


@pytest.mark.parametrize("is_full", [True, False])
def test_a_directory_is_moved_and_removed_only_when_it_is_empty(
    cache: ImageCache, clock: MemoryClock, is_full: bool
) -> None:
    quarantine = quarantine_of(cache, clock)
    (cache.directory / ENTRY).mkdir()
    if is_full:
        (cache.directory / ENTRY / "file").touch()

    path = quarantine.move(ENTRY)

    assert path is not None
    assert quarantine.remove(ENTRY) is not is_full
    assert names(cache) == ({path.name} if is_full else set())


def test_the_quarantine_of_a_cache_that_is_not_there_is_empty(tmp_path: Path, clock: MemoryClock) -> None:
    quarantine = Quarantine(directory=tmp_path / "none", clock=clock)
    quarantine.clean()

    assert quarantine.remove(ENTRY) is False
