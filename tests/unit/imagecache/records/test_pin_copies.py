"""The copies of pins outside of the cache: what is lost with the cache's directory, and what is not."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind
from precache.core.jobs import Outcome
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.imagecache.records.pin_keeper import PinKeeper
from tests.unit.imagecache.cleaning.test_cleaner import put
from tests.unit.imagecache.cleaning.test_entry_removal import removal_of
from tests.unit.imagecache.conftest import ENTRY, IMAGE
from tests.unit.imagecache.records.test_pin_keeper import keeper_of, never

RECORD = f"{ENTRY}.precache"
PIN = Pin("job:1")


@pytest.fixture
def cache(tmp_path: Path, clock: MemoryClock) -> ImageCache:
    return cache_in(tmp_path, clock)


@pytest.fixture
def keeper(cache: ImageCache, clock: MemoryClock) -> PinKeeper:
    put(cache, ENTRY, clock)
    keeper = keeper_of(cache, clock)
    keeper.pin(IMAGE, PIN, never)
    return keeper


def cache_in(root: Path, clock: MemoryClock) -> ImageCache:
    cache = ImageCache(
        directory=root / "_base", locks_directory=root / "locks", clock=clock, pins_directory=root / "precache-pins"
    )
    cache.start()
    return cache


def copies(cache: ImageCache) -> list[str]:
    return sorted(os.listdir(cache.directory.parent / "precache-pins"))


def empty(cache: ImageCache) -> None:
    shutil.rmtree(cache.directory)
    cache.directory.mkdir()


def test_a_pin_outlives_the_directory_of_the_cache_and_a_restart(
    tmp_path: Path, cache: ImageCache, keeper: PinKeeper, clock: MemoryClock
) -> None:
    empty(cache)
    again = cache_in(tmp_path, clock)

    assert keeper_of(again, clock).touch() == [IMAGE]

    assert [(alarm.kind, alarm.entry) for alarm in again.alarms.current()] == [(AlarmKind.MISSING, ENTRY)]


def test_an_entry_that_another_program_made_in_a_new_directory_has_the_old_pins_and_a_record(
    cache: ImageCache, keeper: PinKeeper, clock: MemoryClock
) -> None:
    empty(cache)
    put(cache, ENTRY, clock, age=timedelta(hours=1))

    assert keeper.touch() == []

    assert (cache.directory / ENTRY).stat().st_mtime == clock.now().timestamp()
    assert (cache.directory / RECORD).exists()
    assert cache.records.read(ENTRY) == EntryRecord(image=IMAGE, source=ADOPTED, pins=(PIN,))


@pytest.mark.parametrize("damaged", ["_base", "precache-pins"])
@pytest.mark.parametrize("text", [b"", b"{}", None])
def test_a_record_or_copy_that_is_damaged_or_gone_is_written_again_by_a_pass(
    cache: ImageCache, keeper: PinKeeper, damaged: str, text: bytes | None
) -> None:
    file = cache.directory.parent / damaged / RECORD
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text)

    keeper.touch()

    assert cache.records.read(ENTRY).pins == (PIN,)
    for directory in ("_base", "precache-pins"):
        assert EntryRecord.read((cache.directory.parent / directory / RECORD).read_bytes()).pins == (PIN,)


def test_the_log_does_not_say_of_a_damaged_copy_that_the_image_is_not_pinned(
    cache: ImageCache, keeper: PinKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    (cache.directory.parent / "precache-pins" / RECORD).write_bytes(b"{")

    record = cache.records.read(ENTRY)

    assert record is not None
    assert record.pins == (PIN,)
    assert "is not pinned" not in caplog.text
    assert f"The copy {cache.directory.parent / 'precache-pins' / RECORD} of pins cannot be used" in caplog.text


def test_a_record_that_is_written_without_the_pins_of_its_entry_gets_them_back(
    cache: ImageCache, keeper: PinKeeper
) -> None:
    (cache.directory / RECORD).write_bytes(EntryRecord(image=IMAGE, digest="sha256:" + 64 * "0").text())

    keeper.touch()

    assert EntryRecord.read((cache.directory / RECORD).read_bytes()).pins == (PIN,)
    assert cache.records.read(ENTRY).digest


@pytest.mark.parametrize("is_emptied", [True, False])
def test_unpinning_removes_the_copy_also_of_an_entry_that_is_gone(
    cache: ImageCache, keeper: PinKeeper, is_emptied: bool
) -> None:
    if is_emptied:
        empty(cache)

    keeper.unpin(IMAGE, never)

    assert copies(cache) == []
    assert keeper.touch() == []


def test_the_copy_goes_with_a_pin_that_is_over(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    keeper = keeper_of(cache, clock)
    keeper.pin(IMAGE, Pin("job:1", clock.now()), never)
    keeper.touch()
    clock.advance(timedelta(hours=1))

    keeper.touch()

    assert copies(cache) == []
    assert cache.records.read(ENTRY).pins == ()


def test_the_copy_goes_with_an_entry_that_is_removed_though_it_is_pinned(
    cache: ImageCache, keeper: PinKeeper, clock: MemoryClock
) -> None:
    assert removal_of(cache, clock).remove(ENTRY, "a test", even_pinned=True).is_removed

    assert copies(cache) == []
    assert list(cache.directory.iterdir()) == []


def test_a_kill_amid_the_removal_of_a_pinned_entry_leaves_no_pin_that_would_bring_it_back(
    cache: ImageCache, keeper: PinKeeper, clock: MemoryClock
) -> None:
    class Killed(BaseException):
        pass

    def kill(entry: str) -> None:
        raise Killed

    cache.records.remove = kill
    with pytest.raises(Killed):
        removal_of(cache, clock).remove(ENTRY, "a test", even_pinned=True)

    assert not (cache.directory / ENTRY).exists()
    assert keeper.touch() == []


def test_a_copy_that_cannot_be_written_is_logged_once_and_the_pin_counts(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, ENTRY, clock)
    (cache.directory.parent / "precache-pins").write_bytes(b"not a directory")

    keeper = keeper_of(cache, clock)
    keeper.pin(IMAGE, PIN, never)
    for _ in range(3):
        keeper.touch()

    assert cache.records.read(ENTRY).pins == (PIN,)
    assert caplog.text.count("cannot be read or written") == 1
    assert keeper.unpin(IMAGE, never).outcome is Outcome.UNPINNED


def test_temporary_files_of_a_dead_process_beside_the_copies_are_removed_at_the_start(
    tmp_path: Path, cache: ImageCache, keeper: PinKeeper, clock: MemoryClock
) -> None:
    (tmp_path / "precache-pins" / f"{ENTRY}.precache-ab12-record").write_bytes(b"{")

    cache_in(tmp_path, clock)

    assert copies(cache) == [RECORD]
