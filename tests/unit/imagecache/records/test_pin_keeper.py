"""Entries that are pinned: their records, and the passes that keep them young and find what is wrong."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable, ImageNotCached, ImageNotPinned, Stopped
from precache.core.jobs import Outcome
from precache.core.pins import Pin
from precache.core.stopping import StopReason
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.records.pin_keeper import LATE_ALARM, LONGEST_DOUBT, PinKeeper
from precache.imagecache.staging import Fetched, Staging
from precache.rules.expiry import touch_interval
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.cleaning.test_cleaner import HOLDER, LIMITS, cleaner_of, names, put
from tests.unit.imagecache.conftest import ENTRY, IMAGE

DAY = timedelta(days=1)
LIMIT = DAY
WEEK = timedelta(days=7)
RECORD = f"{ENTRY}.precache"


def keeper_of(cache: ImageCache, clock: MemoryClock, limit: timedelta | None = LIMIT) -> PinKeeper:
    return PinKeeper(cache=cache, clock=clock, host="cmp-07", limit=limit, monotonic=lambda: clock.now().timestamp())


def never() -> None:
    raise AssertionError("nothing holds the lock")


def pin(keeper: PinKeeper, until: datetime | None = None, by: str = "job:1") -> None:
    keeper.pin(IMAGE, Pin(by, until), never)


def alarms(cache: ImageCache) -> list[tuple[AlarmKind, str]]:
    return [(alarm.kind, alarm.entry) for alarm in cache.alarms.current()]


MISSING = (AlarmKind.MISSING, ENTRY)
NOT_TOUCHED = (AlarmKind.NOT_TOUCHED, ENTRY)


class SetClock(MemoryClock):
    """A clock that jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.at = super().now()

    def now(self) -> datetime:
        return self.at


def age_of(path: Path, clock: MemoryClock) -> timedelta:
    return clock.now() - datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def test_a_pinned_entry_never_reaches_its_limit_and_then_expires_as_all_others(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    end, oldest = clock.now() + WEEK, timedelta()

    while clock.now() < end:
        clock.advance(LIMIT / 2)
        oldest = max(oldest, age_of(path, clock))
        keeper.touch()
    clock.advance(LIMIT)
    keeper.touch()

    assert oldest < LIMIT
    assert age_of(path, clock) == LIMIT
    assert cache.records.read(ENTRY) == EntryRecord(image=IMAGE, source=ADOPTED)
    assert alarms(cache) == []


def test_no_pass_sets_a_time_in_the_future_and_one_that_is_there_is_reset(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    put(cache, ENTRY, clock, age=-timedelta(days=30))

    keeper.touch()

    assert age_of(path, clock) == timedelta()


def test_an_entry_stays_while_any_of_its_pins_counts(cache: ImageCache, clock: MemoryClock) -> None:
    keeper = keeper_of(cache, clock)
    put(cache, ENTRY, clock)
    pin(keeper, clock.now() + WEEK, "job:1")
    pin(keeper, clock.now() + DAY, "job:2")
    pin(keeper, clock.now() + 2 * WEEK, "job:2")
    pin(keeper, clock.now() + DAY, "job:3")

    for _ in range(2):  # a pass must find a pin over for an hour
        clock.advance(WEEK - timedelta(seconds=1) if _ == 0 else timedelta(hours=1, seconds=1))
        keeper.touch()
    still = cache.records.read(ENTRY)
    clock.advance(timedelta(hours=1))
    keeper.touch()

    assert still is not None
    assert {each.by for each in still.pins} == {"job:1", "job:2"}
    assert [each.by for each in cache.records.read(ENTRY).pins] == ["job:2"]


def test_a_jump_of_the_clock_that_is_undone_within_the_hour_ends_no_pin_and_leaves_no_time_in_the_future(
    cache: ImageCache,
) -> None:
    clock, uptime = SetClock(), MemoryClock()
    path = put(cache, ENTRY, clock)
    keeper = PinKeeper(cache=cache, clock=clock, host="cmp-07", limit=LIMIT, monotonic=lambda: uptime.now().timestamp())
    pin(keeper, clock.now() + WEEK)
    start, cleaner = clock.now(), cleaner_of(cache, clock)

    for year in (365, -365):
        clock.at = start + timedelta(days=year)
        for _ in range(5):
            uptime.advance(timedelta(minutes=10))
            keeper.touch()
            assert path.stat().st_mtime <= clock.now().timestamp()
            assert cleaner.clean() == []
        clock.at = start
        keeper.touch()
        assert age_of(path, clock) == timedelta()

    assert cache.records.read(ENTRY).pins == (Pin("job:1", start + WEEK),)


def test_a_pin_that_is_over_longer_than_an_hour_ends_also_after_a_restart(
    cache: ImageCache, clock: MemoryClock
) -> None:
    put(cache, ENTRY, clock)
    pin(keeper_of(cache, clock), clock.now() + DAY)
    clock.advance(WEEK)
    keeper = keeper_of(cache, clock)

    keeper.touch()
    before = cache.records.read(ENTRY)
    clock.advance(LONGEST_DOUBT)
    keeper.touch()

    assert before.pins
    assert cache.records.read(ENTRY).pins == ()


@pytest.mark.parametrize("has_entry", [True, False])
def test_unpinning_removes_all_pins_and_their_alarms(cache: ImageCache, clock: MemoryClock, has_entry: bool) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, None, "job:1")
    pin(keeper, clock.now() + DAY, "job:2")
    if not has_entry:
        path.unlink()
        keeper.touch()

    outcomes = [keeper.unpin(IMAGE, never).outcome for _ in range(2)]

    assert outcomes == [Outcome.UNPINNED, Outcome.ABSENT]
    assert names(cache) == ({ENTRY, RECORD} if has_entry else set())
    assert alarms(cache) == []
    clock.advance(LIMIT)
    assert keeper.touch() == []
    assert not has_entry or age_of(path, clock) == LIMIT


def test_an_entry_whose_time_is_in_the_future_expires_from_now_when_it_is_unpinned(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper)
    put(cache, ENTRY, clock, age=-timedelta(days=30))

    keeper.unpin(IMAGE, never)

    assert age_of(path, clock) == timedelta()


def test_a_later_request_without_a_time_does_not_shorten_it(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    pin(keeper_of(cache, clock), clock.now() + WEEK)

    assert cache.ensure(IMAGE, lambda _: pytest.fail("it is there")) is False

    assert cache.records.read(ENTRY).pins == (Pin("job:1", clock.now() + WEEK),)


def test_the_record_is_a_plain_file_that_nova_can_read_and_ignores(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)

    pin(keeper_of(cache, clock), clock.now() + WEEK)

    assert names(cache) == {ENTRY, RECORD}
    assert (cache.directory / RECORD).stat().st_mode & 0o777 == 0o644


def test_an_entry_stays_kept_after_a_restart_of_the_compute(tmp_path: Path, cache: ImageCache) -> None:
    clock = MemoryClock()
    put(cache, ENTRY, clock)
    pin(keeper_of(cache, clock), clock.now() + WEEK)
    clock.advance(LIMIT - timedelta(minutes=1))
    again = ImageCache(directory=cache.directory, locks_directory=tmp_path / "locks", clock=clock)
    again.start()

    keeper_of(again, clock).touch()

    assert age_of(cache.directory / ENTRY, clock) == timedelta()


def test_our_cleaner_leaves_what_is_pinned_also_if_no_pass_has_touched_it(
    cache: ImageCache, clock: MemoryClock
) -> None:
    put(cache, ENTRY, clock)
    keeper = keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    cleaner = cleaner_of(cache, clock)
    clock.advance(2 * WEEK)
    assert [cleaner.clean() for _ in range(2)] == [[], []]

    keeper.unpin(IMAGE, never)

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
                self.write(EntryRecord(image=IMAGE, pins=(Pin("job:1"),)))
            return found

    cache.records = Late(directory=cache.directory, clock=clock)

    assert cleaner.clean() == []
    assert names(cache) == {ENTRY, RECORD}


def test_a_resized_copy_is_not_kept_with_its_image(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    pin(keeper_of(cache, clock), clock.now() + WEEK)
    put(cache, f"{ENTRY}_20", clock, age=LIMITS.resized)

    assert cleaner_of(cache, clock).clean() == [f"{ENTRY}_20"]


def test_a_pass_that_comes_too_late_is_an_alarm_and_an_error_with_image_and_host(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    clock.advance(LIMIT)

    keeper = keeper_of(cache, clock)  # the compute was down
    keeper.touch()
    during = alarms(cache)
    keeper.touch()

    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert IMAGE in line.getMessage()
    assert "not touched in time on cmp-07" in line.getMessage()
    assert age_of(path, clock) == timedelta()
    assert during == alarms(cache) == [NOT_TOUCHED]
    clock.advance(LATE_ALARM)
    keeper.touch()
    assert alarms(cache) == []


def test_where_precache_owns_the_cache_a_late_pass_is_no_alarm(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    keeper = keeper_of(cache, clock, limit=None)
    pin(keeper, clock.now() + WEEK)
    clock.advance(2 * LIMIT)

    keeper.touch()

    assert alarms(cache) == []


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_pinned_entry_that_is_gone_is_an_alarm_until_it_is_back(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture, is_empty: bool
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    path.unlink()
    if is_empty:
        path.touch()

    assert [keeper.touch() for _ in range(2)] == [[IMAGE], [IMAGE]]

    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert IMAGE in line.getMessage()
    assert f"gone from {cache.directory} on cmp-07" in line.getMessage()
    assert RECORD in names(cache)
    assert alarms(cache) == [MISSING]
    put(cache, ENTRY, clock)
    assert keeper.touch() == []
    assert alarms(cache) == []


@pytest.mark.parametrize("is_fetched_by_nova", [True, False])
def test_a_pinned_entry_that_is_there_again_ends_its_alarms_at_once(
    cache: ImageCache, clock: MemoryClock, is_fetched_by_nova: bool
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper)
    path.unlink()
    keeper.touch()
    cache.alarms.set(AlarmKind.NOT_RESTORED, ENTRY, IMAGE, "the image service is down")
    if is_fetched_by_nova:
        put(cache, ENTRY, clock)

    def fetch(staging: Staging) -> Fetched:
        staging.path("raw").write_bytes(b"1")
        return Fetched(staging.path("raw"), EntryRecord(image=IMAGE))

    assert cache.ensure(IMAGE, fetch) is not is_fetched_by_nova
    assert alarms(cache) == []


def test_what_was_wrong_with_an_entry_is_forgotten_when_it_is_gone(cache: ImageCache, clock: MemoryClock) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("job:1"),), fault="a bit", corrupt_at=clock.now()))
    path.unlink()

    keeper.touch()

    assert cache.records.read(ENTRY) == EntryRecord(image=IMAGE, pins=(Pin("job:1"),))


def test_a_pin_that_is_over_is_no_alarm_when_its_entry_is_gone(cache: ImageCache, clock: MemoryClock) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + DAY)
    clock.advance(DAY)
    keeper.touch()
    clock.advance(LONGEST_DOUBT)
    path.unlink()

    assert keeper.touch() == []

    assert names(cache) == set()
    assert alarms(cache) == []


def test_a_cache_that_cannot_be_read_is_an_alarm_until_it_can(cache: ImageCache, clock: MemoryClock) -> None:
    class Unreadable(EntryRecords):
        def entries(self) -> Iterator[str]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    put(cache, ENTRY, clock)
    keeper, records = keeper_of(cache, clock), cache.records
    pin(keeper)
    cache.records = Unreadable(directory=cache.directory, clock=clock)

    with pytest.raises(CacheUnusable):
        keeper.touch()
    during = alarms(cache)
    cache.records = records
    keeper.touch()

    assert during == [(AlarmKind.NOT_TOUCHED, "")]
    assert alarms(cache) == []


def test_the_record_of_an_entry_that_is_being_fetched_again_stays(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock)
    pin(keeper, clock.now() + WEEK)
    path.unlink()

    with another_process(tmp_path, HOLDER) as other:
        assert other.hear() == "held"
        assert keeper.touch() == []

    assert names(cache) == {RECORD}
    assert alarms(cache) == []


def test_a_wait_for_the_lock_can_be_stopped(cache: ImageCache, clock: MemoryClock, tmp_path: Path) -> None:
    put(cache, ENTRY, clock)

    def stop() -> None:
        raise Stopped("The request", StopReason.CANCELLED)

    with another_process(tmp_path, HOLDER) as other:
        assert other.hear() == "held"
        with pytest.raises(Stopped):
            keeper_of(cache, clock).pin(IMAGE, Pin("job:1"), stop)

    assert names(cache) == {ENTRY}


def test_an_absent_image_cannot_be_kept(cache: ImageCache, clock: MemoryClock) -> None:
    with pytest.raises(ImageNotCached):
        pin(keeper_of(cache, clock), clock.now() + WEEK)
    assert names(cache) == set()


def test_where_unused_images_are_removed_at_once_none_can_be_kept(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)

    with pytest.raises(ImageNotPinned, match="remove_unused_original_minimum_age_seconds is 0"):
        pin(keeper_of(cache, clock, limit=timedelta()), clock.now() + WEEK)

    assert names(cache) == {ENTRY}


def test_a_full_disk_keeps_nothing_and_says_so(cache: ImageCache, clock: MemoryClock) -> None:
    class Full(EntryRecords):
        def write(self, record: EntryRecord) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    put(cache, ENTRY, clock)
    cache.records = Full(directory=cache.directory, clock=clock)

    with pytest.raises(ImageNotPinned, match=r"is in the cache .* but cannot be pinned: .* the disk is full") as caught:
        pin(keeper_of(cache, clock), clock.now() + WEEK)

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
    assert caplog.text.count("cannot be used, so its image is not pinned and cannot be verified") == 1
    pin(keeper, clock.now() + WEEK)
    assert cache.records.read(ENTRY) == EntryRecord(
        image=IMAGE, source=ADOPTED, pins=(Pin("job:1", clock.now() + WEEK),)
    )


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
        pin(keeper, clock.now() + WEEK)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + WEEK),)))
    keeper.touch()
    keeper.touch()

    assert target.stat().st_mtime == 5
    assert alarms(cache) == [NOT_TOUCHED]
    assert caplog.text.count(f"Image {IMAGE}, which is pinned on cmp-07, could not be touched") == 1


@pytest.mark.parametrize("limit", [LIMIT, None])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/nowhere", path)])
def test_a_pinned_entry_that_was_replaced_by_anything_but_a_file_is_an_alarm_and_left_alone(
    cache: ImageCache, clock: MemoryClock, make: Callable[[Path], None], limit: timedelta | None
) -> None:
    path, keeper = put(cache, ENTRY, clock), keeper_of(cache, clock, limit)
    pin(keeper)
    path.unlink()
    make(path)
    os.utime(path, (5, 5), follow_symlinks=False)

    assert keeper.touch() == []

    assert alarms(cache) == [NOT_TOUCHED]
    assert path.lstat().st_mtime == 5


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

    with pytest.raises(ImageNotPinned, match=r"is in the cache .* but cannot be pinned: .* not permitted"):
        pin(keeper_of(cache, clock), clock.now() + WEEK)
    assert not (cache.directory / RECORD).exists()


def test_a_cache_that_is_not_there_has_nothing_to_touch(tmp_path: Path, clock: MemoryClock) -> None:
    keeper_of(ImageCache(directory=tmp_path / "no", locks_directory=tmp_path / "l", clock=clock), clock).touch()


@pytest.mark.parametrize("limit_s", [1, 30, 1199, 1200, 86_400, 10**9])
def test_two_passes_come_before_the_limit(limit_s: int) -> None:
    limit = timedelta(seconds=limit_s)

    assert timedelta() < touch_interval(limit) <= min(limit / 2, timedelta(minutes=10))
