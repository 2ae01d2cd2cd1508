"""The list of a cache: what the disk has, with what the records say; whatever else is there, and whatever vanishes."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind, CachedEntry, EntryState, Verification
from precache.core.errors import CacheUnusable
from precache.core.images import ImageId
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import entry_name, record_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.listing import EntryLister
from tests.unit.imagecache.conftest import ENTRY, IMAGE, RECORD
from tests.unit.imagecache.records.test_recorded_entries import FETCHED, fetch, make_obstacle

YEAR = timedelta(days=365)


@pytest.fixture
def lister(cache: ImageCache, clock: MemoryClock) -> EntryLister:
    return EntryLister(cache=cache, clock=clock)


def image(number: int) -> ImageId:
    return ImageId(f"00000000-0000-0000-0000-{number:012}")


def only(lister: EntryLister) -> CachedEntry:
    (entry,) = lister.list().entries
    return entry


def test_an_entry_has_the_facts_of_its_file_and_of_its_record(
    cache: ImageCache, lister: EntryLister, clock: MemoryClock
) -> None:
    cached_at = clock.now()
    fetch(cache)
    clock.advance(timedelta(hours=1))
    cache.ensure(IMAGE, lambda _: pytest.fail("it is there"))

    entry = only(lister)

    assert entry == CachedEntry(
        entry=ENTRY,
        image=IMAGE,
        image_name="web",
        size_bytes=7,
        allocated_bytes=cache.path_of(IMAGE).stat().st_blocks * 512,
        format="raw",
        digest=FETCHED.digest,
        source="image service",
        source_digest=FETCHED.source_digest,
        requested_by="job-1",
        cached_at=cached_at,
        last_used=clock.now(),
        verification=Verification.UNVERIFIED,
    )


def test_an_entry_without_a_record_is_listed_as_unverifiable(cache: ImageCache, lister: EntryLister) -> None:
    cache.path_of(IMAGE).write_bytes(b"by nova")
    os.utime(cache.path_of(IMAGE), (0, 1_000_000))

    entry = only(lister)

    assert (entry.entry, entry.image, entry.size_bytes) == (ENTRY, None, 7)
    assert entry.verification is Verification.UNVERIFIABLE
    assert entry.last_used == datetime.fromtimestamp(1_000_000, UTC)


def test_a_record_of_the_previous_release_says_the_image_and_the_pin(cache: ImageCache, lister: EntryLister) -> None:
    cache.path_of(IMAGE).write_bytes(b"content")
    (cache.directory / RECORD).write_text(
        f'{{"version": 1, "image": "{IMAGE}", "kept_until": "2030-01-01T00:00:00+00:00"}}'
    )

    entry = only(lister)

    assert (entry.image, entry.pins) == (IMAGE, (Pin("", datetime(2030, 1, 1, tzinfo=UTC)),))
    assert entry.verification is Verification.UNVERIFIABLE


@pytest.mark.parametrize(
    ("record", "is_corrupt", "expected"),
    [
        ({"digest": ""}, False, Verification.UNVERIFIABLE),
        ({}, False, Verification.UNVERIFIED),
        ({"verified_at": datetime(2026, 1, 1, tzinfo=UTC)}, False, Verification.INTACT),
        ({"verified_at": datetime(2026, 1, 1, tzinfo=UTC), "size_bytes": 8}, False, Verification.UNVERIFIED),
        ({"verified_at": datetime(2026, 1, 1, tzinfo=UTC)}, True, Verification.CORRUPT),
    ],
)
def test_the_verification_is_the_last_known(
    cache: ImageCache, lister: EntryLister, record: dict[str, object], is_corrupt: bool, expected: Verification
) -> None:
    cache.path_of(IMAGE).write_bytes(b"content")
    known = {"digest": FETCHED.digest, "size_bytes": 7} | record
    cache.records.write(EntryRecord(image=IMAGE, **known))  # type: ignore[arg-type]
    if is_corrupt:
        cache.alarms.set(AlarmKind.CORRUPT, ENTRY, IMAGE, "it is corrupt")

    assert only(lister).verification is expected


def test_a_changed_record_is_read_again_and_an_unchanged_one_is_not(
    cache: ImageCache, lister: EntryLister, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(cache)
    before = only(lister)
    same = only(lister)
    cache.records.write(EntryRecord(image=IMAGE, image_name="db"))

    after = only(lister)

    assert (before, after.image_name) == (same, "db")
    (cache.directory / RECORD).write_text("damaged")
    assert only(lister).image is None
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize(
    ("until", "expected"), [(None, [EntryState.MISSING]), (YEAR, [EntryState.MISSING]), (-YEAR, [])]
)
def test_a_pinned_entry_that_is_gone_is_listed_as_missing(
    cache: ImageCache, lister: EntryLister, clock: MemoryClock, until: timedelta | None, expected: list[EntryState]
) -> None:
    pin = Pin("job:1", None if until is None else clock.now() + until)
    cache.records.write(EntryRecord(image=IMAGE, pins=(pin,)))

    assert [entry.state for entry in lister.list().entries] == expected


def test_pins_of_which_only_the_copy_is_left_are_listed(tmp_path: Path, clock: MemoryClock) -> None:
    cache = ImageCache(
        directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=clock, pins_directory=tmp_path / "pins"
    )
    cache.start()
    lister = EntryLister(cache=cache, clock=clock)
    fetch(cache)
    cache.records.write(replace(FETCHED, pins=(Pin("job:1", None),)))
    before = only(lister)
    (cache.directory / RECORD).unlink()
    without_record = only(lister)
    cache.path_of(IMAGE).unlink()

    emptied = only(lister)

    assert [entry.pins for entry in (before, without_record, emptied)] == [(Pin("job:1", None),)] * 3
    assert emptied.state is EntryState.MISSING
    cache.records.remove(ENTRY)
    assert lister.list().entries == ()


def test_a_record_without_an_entry_is_not_listed(cache: ImageCache, lister: EntryLister) -> None:
    cache.records.write(FETCHED)

    assert lister.list().entries == ()


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "empty"])
def test_what_is_no_file_in_the_place_of_an_entry_is_not_listed_and_logged_once(
    cache: ImageCache, lister: EntryLister, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(cache)
    make_obstacle(cache.path_of(IMAGE), kind)

    listed = [lister.list().entries for _ in range(3)]

    assert listed == [()] * 3
    assert caplog.text.count(f"{cache.path_of(IMAGE)} is not a file") == (kind != "empty")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices")
def test_a_device_in_the_place_of_an_entry_is_not_opened(
    cache: ImageCache, lister: EntryLister, caplog: pytest.LogCaptureFixture
) -> None:
    os.mknod(cache.path_of(IMAGE), 0o600 | 0o020000, os.makedev(5, 0))

    assert lister.list().entries == ()
    assert "is not a file" in caplog.text


def test_foreign_files_are_not_listed_and_not_read(cache: ImageCache, lister: EntryLister) -> None:
    fetch(cache)
    for number in range(500):
        (cache.directory / f"{number:x}-foreign").touch()
    others = [f"{ENTRY}_20", f"{ENTRY}.part", f"{ENTRY}.overlays", ENTRY.upper(), "swap_512", f"{ENTRY}0", "x" * 40]
    for name in others:
        (cache.directory / name).write_text("foreign")

    assert only(lister).entry == ENTRY
    assert lister.list().space.used_bytes >= cache.path_of(IMAGE).stat().st_blocks * 512


def test_a_list_while_entries_come_and_go_has_only_what_was_there(cache: ImageCache, lister: EntryLister) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for number in range(20):
                (cache.directory / record_name(entry_name(image(number)))).write_bytes(
                    EntryRecord(image=image(number), image_name="web").text()
                )
                (cache.directory / entry_name(image(number))).write_bytes(b"content")
            for number in range(20):
                (cache.directory / entry_name(image(number))).unlink()
                (cache.directory / record_name(entry_name(image(number)))).unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        listed = [entry for _ in range(100) for entry in lister.list().entries]
    finally:
        stop.set()
        thread.join()

    assert {entry.entry for entry in listed} <= {entry_name(image(number)) for number in range(20)}
    assert {entry.image_name for entry in listed} <= {"web", ""}


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_clock_that_jumps_hides_no_entry(cache: ImageCache, clock: MemoryClock, jump: timedelta) -> None:
    fetch(cache)
    cache.records.write(EntryRecord(image=image(1), pins=(Pin("job:1", None),)))
    later = EntryLister(cache=cache, clock=MemoryClock(start=clock.now() + jump))

    assert [entry.state for entry in later.list().entries if entry.image == IMAGE] == [EntryState.PRESENT]
    assert [entry.state for entry in later.list().entries if entry.image == image(1)] == [EntryState.MISSING]


@pytest.mark.parametrize("mtime", [-(1 << 33), 1 << 33])
def test_an_entry_with_an_impossible_time_is_listed(cache: ImageCache, lister: EntryLister, mtime: int) -> None:
    fetch(cache)
    os.utime(cache.path_of(IMAGE), (mtime, mtime))

    assert only(lister).entry == ENTRY


@pytest.mark.parametrize(("disks", "expected"), [(None, None), ({}, 0), ({ENTRY: (Path("/a"), Path("/b"))}, 2)])
def test_the_disks_are_those_that_were_last_found(
    cache: ImageCache, clock: MemoryClock, disks: dict[str, tuple[Path, ...]] | None, expected: int | None
) -> None:
    fetch(cache)

    assert only(EntryLister(cache=cache, clock=clock, disks=lambda: disks)).disks == expected


def test_a_cache_that_is_gone_is_an_error(cache: ImageCache, lister: EntryLister) -> None:
    cache.directory.rmdir()

    with pytest.raises(CacheUnusable, match="does not exist"):
        lister.list()


def test_a_list_takes_no_lock(cache: ImageCache, lister: EntryLister, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    fetch(cache)

    entries = cache.use(IMAGE, lambda _path: lister.list().entries)

    assert [entry.entry for entry in entries] == [ENTRY]
