"""Entries that are to stay for a time: their records, and the passes that keep them young."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import ImageNotCached, ImageNotPinned, Stopped
from precache.core.pins import Pin
from precache.core.stopping import StopReason
from precache.imagecache.cache import ImageCache
from precache.imagecache.entry_records import EntryRecord, EntryRecords
from precache.imagecache.pin_keeper import PinKeeper
from precache.rules.expiry import touch_interval
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.conftest import ENTRY, IMAGE
from tests.unit.imagecache.test_cleaner import HOLDER, LIMITS, cleaner_of, names, put

LIMIT = timedelta(days=1)
WEEK = timedelta(days=7)
RECORD = f"{ENTRY}.precache"


def keeper_of(cache: ImageCache, clock: MemoryClock, limit: timedelta | None = LIMIT) -> PinKeeper:
    return PinKeeper(cache=cache, clock=clock, host="cmp-07", limit=limit)


def never() -> None:
    raise AssertionError("nothing holds the lock")


def keep(keeper: PinKeeper, until: datetime) -> None:
    keeper.keep(IMAGE, until, never)


def age_of(path: Path, clock: MemoryClock) -> timedelta:
    return clock.now() - datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def record_of(cache: ImageCache) -> object:
    return json.loads((cache.directory / RECORD).read_text())


def test_a_kept_entry_never_reaches_its_limit_and_then_expires_as_all_others(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    keep(keeper, clock.now() + WEEK)
    end, oldest = clock.now() + WEEK, timedelta()

    while clock.now() < end:
        clock.advance(LIMIT / 2)
        oldest = max(oldest, age_of(path, clock))
        keeper.touch()
    clock.advance(LIMIT)
    keeper.touch()

    assert oldest < LIMIT
    assert age_of(path, clock) >= LIMIT
    assert record_of(cache) == {"version": 2, "image": IMAGE}  # the pin is over


def test_no_pass_sets_a_time_in_the_future_and_one_that_is_there_is_reset(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    keep(keeper, clock.now() + WEEK)
    put(cache, ENTRY, clock, age=-timedelta(days=30))

    keeper.touch()

    assert age_of(path, clock) == timedelta()


@pytest.mark.parametrize(("first", "second"), [(1, 7), (7, 1), (7, 7)])
def test_the_later_end_counts(cache: ImageCache, clock: MemoryClock, first: int, second: int) -> None:
    put(cache, ENTRY, clock)
    for days in (first, second):
        keep(keeper_of(cache, clock), clock.now() + timedelta(days=days))

    until = (clock.now() + WEEK).isoformat()
    assert record_of(cache) == {"version": 2, "image": IMAGE, "pins": [{"by": "", "until": until}]}


def test_a_later_request_without_a_time_does_not_shorten_it(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    keep(keeper_of(cache, clock), clock.now() + WEEK)

    assert cache.ensure(IMAGE, lambda _: pytest.fail("it is there")) is False

    assert record_of(cache) == {
        "version": 2,
        "image": IMAGE,
        "pins": [{"by": "", "until": (clock.now() + WEEK).isoformat()}],
    }


def test_the_record_is_a_plain_file_that_nova_can_read_and_ignores(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)

    keep(keeper_of(cache, clock), clock.now() + WEEK)

    assert names(cache) == {ENTRY, RECORD}
    assert (cache.directory / RECORD).stat().st_mode & 0o777 == 0o644


def test_an_entry_stays_kept_after_a_restart_of_the_compute(tmp_path: Path, cache: ImageCache) -> None:
    clock = MemoryClock()
    put(cache, ENTRY, clock)
    keep(keeper_of(cache, clock), clock.now() + WEEK)
    clock.advance(LIMIT - timedelta(minutes=1))
    again = ImageCache(directory=cache.directory, locks_directory=tmp_path / "locks", clock=clock)
    again.start()

    keeper_of(again, clock).touch()

    assert age_of(cache.directory / ENTRY, clock) == timedelta()


def test_our_cleaner_leaves_what_is_kept_also_if_no_pass_has_touched_it(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    keep(keeper_of(cache, clock), clock.now() + WEEK)
    cleaner = cleaner_of(cache, clock)
    clock.advance(WEEK - timedelta(seconds=1))
    assert cleaner.clean() == []

    clock.advance(timedelta(seconds=1))

    assert cleaner.clean() == [ENTRY]
    assert names(cache) == set()


def test_a_record_that_is_written_between_look_and_removal_keeps_its_entry(
    cache: ImageCache, clock: MemoryClock
) -> None:
    put(cache, ENTRY, clock, age=LIMITS.original)
    cleaner = cleaner_of(cache, clock)
    reader = cache.records.read

    class Late(EntryRecords):
        """Another process keeps the entry after the first look."""

        def read(self, entry: str) -> EntryRecord | None:
            found = reader(entry)
            if found is None:
                self.write(EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),)))
            return found

    cache.records = Late(directory=cache.directory, clock=clock)

    assert cleaner.clean() == []
    assert names(cache) == {ENTRY, RECORD}


def test_a_resized_copy_is_not_kept_with_its_image(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    keep(keeper_of(cache, clock), clock.now() + WEEK)
    put(cache, f"{ENTRY}_20", clock, age=LIMITS.resized)

    assert cleaner_of(cache, clock).clean() == [f"{ENTRY}_20"]


def test_a_pass_that_comes_too_late_is_an_error_with_image_and_host(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    keep(keeper, clock.now() + WEEK)
    clock.advance(LIMIT)

    keeper.touch()
    keeper.touch()

    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert IMAGE in line.getMessage()
    assert "not touched in time on cmp-07" in line.getMessage()
    assert age_of(path, clock) == timedelta()


def test_an_entry_that_was_removed_by_hand_is_an_error_and_its_record_goes(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    keep(keeper, clock.now() + WEEK)
    path.unlink()

    keeper.touch()
    keeper.touch()

    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert IMAGE in line.getMessage()
    assert f"gone from {cache.directory} on cmp-07" in line.getMessage()
    assert names(cache) == set()


def test_the_record_of_an_entry_that_is_being_fetched_again_stays(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    keep(keeper, clock.now() + WEEK)
    path.unlink()

    with another_process(tmp_path, HOLDER) as other:
        assert other.hear() == "held"
        keeper.touch()

    assert names(cache) == {RECORD}


def test_a_wait_for_the_lock_can_be_stopped(cache: ImageCache, clock: MemoryClock, tmp_path: Path) -> None:
    put(cache, ENTRY, clock)

    def stop() -> None:
        raise Stopped("The request", StopReason.CANCELLED)

    with another_process(tmp_path, HOLDER) as other:
        assert other.hear() == "held"
        with pytest.raises(Stopped):
            keeper_of(cache, clock).keep(IMAGE, clock.now() + WEEK, stop)

    assert names(cache) == {ENTRY}


def test_an_absent_image_cannot_be_kept(cache: ImageCache, clock: MemoryClock) -> None:
    with pytest.raises(ImageNotCached):
        keep(keeper_of(cache, clock), clock.now() + WEEK)
    assert names(cache) == set()


def test_where_unused_images_are_removed_at_once_none_can_be_kept(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)

    with pytest.raises(ImageNotPinned, match="remove_unused_original_minimum_age_seconds is 0"):
        keep(keeper_of(cache, clock, limit=timedelta()), clock.now() + WEEK)

    assert names(cache) == {ENTRY}


def test_a_full_disk_keeps_nothing_and_says_so(cache: ImageCache, clock: MemoryClock) -> None:
    class Full(EntryRecords):
        def write(self, record: EntryRecord) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    put(cache, ENTRY, clock)
    cache.records = Full(directory=cache.directory, clock=clock)

    with pytest.raises(ImageNotPinned, match=r"is in the cache .* but cannot be kept .* the disk is full") as caught:
        keep(keeper_of(cache, clock), clock.now() + WEEK)

    assert caught.value.may_pass
    assert names(cache) == {ENTRY}


RECORDS = {
    "empty": b"",
    "no JSON": b"\xff\x00",
    "a list": b"[]",
    "deep": b"[" * 60_000,
    "no image": b'{"version": 1, "kept_until": "2030-01-01T00:00:00+00:00"}',
    "no id": b'{"version": 1, "image": 7, "kept_until": "2030-01-01T00:00:00+00:00"}',
    "another image": json.dumps(
        {
            "version": 1,
            "image": "70a599e0-31e7-49b7-b260-868f441e862b",
            "kept_until": "2030-01-01T00:00:00+00:00",
        }
    ).encode(),
    "no time": json.dumps({"version": 1, "image": IMAGE, "kept_until": None}).encode(),
    "no zone": json.dumps({"version": 1, "image": IMAGE, "kept_until": "2030-01-01T00:00:00"}).encode(),
    "a newer version": json.dumps({"version": 3, "image": IMAGE, "kept_until": "2030-01-01T00:00:00+00:00"}).encode(),
}


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS)
def test_a_damaged_record_keeps_nothing_is_logged_once_and_can_be_replaced(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    path, keeper = put(cache, ENTRY, clock, age=LIMIT / 2), keeper_of(cache, clock)
    (cache.directory / RECORD).write_bytes(text)

    keeper.touch()
    keeper.touch()

    assert age_of(path, clock) == LIMIT / 2
    assert caplog.text.count("cannot be used, so its image is not kept and cannot be verified") == 1
    keep(keeper, clock.now() + WEEK)
    assert cache.records.read(ENTRY) == EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),))


def test_an_unknown_field_of_a_record_is_ignored(cache: ImageCache, clock: MemoryClock) -> None:
    text = {"version": 1, "image": IMAGE, "kept_until": "2030-01-01T00:00:00+00:00", "digest": "sha256:00"}
    (cache.directory / RECORD).write_text(json.dumps(text))

    assert cache.records.read(ENTRY) == EntryRecord(image=IMAGE, pins=(Pin("", datetime(2030, 1, 1, tzinfo=UTC)),))


@pytest.mark.parametrize("kind", ["link", "hard link", "directory", "pipe"])
def test_what_is_not_a_plain_file_is_no_record_and_not_followed(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path, kind: str
) -> None:
    path, record, elsewhere = put(cache, ENTRY, clock, age=LIMIT / 2), cache.directory / RECORD, tmp_path / "elsewhere"
    elsewhere.write_bytes(EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),)).text())
    make = {
        "link": lambda: record.symlink_to(elsewhere),
        "hard link": lambda: record.hardlink_to(elsewhere),
        "directory": record.mkdir,
        "pipe": lambda: os.mkfifo(record),
    }
    make[kind]()

    keeper_of(cache, clock).touch()

    assert age_of(path, clock) == LIMIT / 2
    assert elsewhere.read_bytes() == EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),)).text()


def test_an_entry_that_is_a_link_is_neither_kept_nor_touched(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target, entry, keeper = tmp_path / "target", cache.directory / ENTRY, keeper_of(cache, clock)
    target.write_bytes(b"1")
    os.utime(target, (5, 5))
    entry.symlink_to(target)

    with pytest.raises(ImageNotPinned, match="symbolic link"):
        keep(keeper, clock.now() + WEEK)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),)))
    keeper.touch()
    keeper.touch()

    assert target.stat().st_mtime == 5
    assert caplog.text.count(f"Image {IMAGE}, which is to be kept on cmp-07, could not be touched") == 1


def test_an_entry_of_another_user_cannot_be_kept_and_this_is_told(
    open_path: Path, clock: MemoryClock, as_nobody: None
) -> None:
    os.seteuid(0)
    open_path.chmod(0o777)
    cache = ImageCache(directory=open_path / "_base", locks_directory=open_path / "locks", clock=clock)
    cache.start()
    for directory in (cache.directory, cache.locks.directory):
        directory.chmod(0o777)
    put(cache, ENTRY, clock)
    os.seteuid(65534)

    with pytest.raises(ImageNotPinned, match=r"is in the cache .* but cannot be kept .* not permitted"):
        keep(keeper_of(cache, clock), clock.now() + WEEK)
    assert not (cache.directory / RECORD).exists()


def test_a_cache_that_is_not_there_has_nothing_to_touch(tmp_path: Path, clock: MemoryClock) -> None:
    keeper_of(ImageCache(directory=tmp_path / "no", locks_directory=tmp_path / "l", clock=clock), clock).touch()


@pytest.mark.parametrize("limit_s", [1, 30, 1199, 1200, 86_400, 10**9])
def test_two_passes_come_before_the_limit(limit_s: int) -> None:
    limit = timedelta(seconds=limit_s)

    assert timedelta() < touch_interval(limit) <= min(limit / 2, timedelta(minutes=10))
