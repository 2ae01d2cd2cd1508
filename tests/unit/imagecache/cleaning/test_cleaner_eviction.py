"""The cleaner evicts what its policy values least, for space, and says why."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_cleaning import CleanRequest
from precache.core.errors import DomainsUnknown
from precache.core.pins import Pin
from precache.core.sizes import DiskAmount
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner_memory import MEMORY_NAME
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.space.disk_usage import DiskSize
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.rules.eviction import CachePolicy, Cleaning, Watermarks
from precache.rules.expiry import ExpiryLimits
from tests.unit.imagecache.cleaning.test_cleaner import LIMITS, Domains, cleaner_of, names, put, put_overlay
from tests.unit.imagecache.conftest import ENTRY, IMAGE

A, B, C = "a" * 40, "b" * 40, "c" * 40
KIB = 1024
HOUR = timedelta(hours=1)

EVERYTHING = Watermarks(below_free=DiskAmount(percent=100))
"""More must be free than can be, so that all goes that may go."""


def put_kib(cache: ImageCache, name: str, clock: MemoryClock, kib: int, age: timedelta) -> None:
    path = put(cache, name, clock, age)
    mtime = path.stat().st_mtime
    path.write_bytes(b"x" * kib * KIB)
    os.utime(path, (mtime, mtime))


def pin(cache: ImageCache) -> None:
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("job:1"),)))


def test_above_the_high_mark_the_least_recently_used_go_until_the_low_one(
    cache: ImageCache, clock: MemoryClock
) -> None:
    for name, hours in [(A, 3), (B, 2), (C, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    marks = Watermarks(above_used=DiskAmount(150 * KIB), to_used=DiskAmount(140 * KIB))

    removed = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=marks)).clean()

    assert removed == [A]
    assert cache.removals.recent()[0].reason.startswith("the cache uses ")
    assert cache.removals.recent()[0].reason.endswith("more than evict_above_used = 150.0 KiB: least recently used")


def test_below_the_high_mark_nothing_goes_however_old(cache: ImageCache, clock: MemoryClock) -> None:
    put_kib(cache, A, clock, 64, 9999 * HOUR)
    marks = Watermarks(above_used=DiskAmount(1 << 20))

    assert cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=marks)).clean() == []


def test_by_age_what_has_expired_goes_first_and_then_what_the_mark_requires(
    cache: ImageCache, clock: MemoryClock
) -> None:
    for name, hours in [(A, 30), (B, 2), (C, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    marks = Watermarks(above_used=DiskAmount(100 * KIB))

    removed = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, watermarks=marks)).clean()

    assert removed == [A, B]
    assert [removal.reason.partition(" ")[0] for removal in cache.removals.recent()] == ["the", "unused"]


class EventsDuringPass(InstanceDisks):
    """Something happens when the disks are looked at to remove what has expired."""

    def __init__(self, cache: ImageCache, events: Callable[[], object]) -> None:
        super().__init__(instances_path=cache.directory.parent, cache_directory=cache.directory, domains=Domains())
        self._events, self._looks = events, 0

    def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
        self._looks += 1
        if self._looks == 3:  # the first pass and the second one have looked once each
            self._events()
        return super().disks_by_file()


def test_what_is_used_or_cached_while_expired_entries_go_is_not_evicted(cache: ImageCache, clock: MemoryClock) -> None:
    for name, hours in [(A, 30), (B, 20)]:
        put(cache, name, clock, hours * HOUR)
    disks = EventsDuringPass(cache, lambda: (put(cache, B, clock), put(cache, C, clock)))

    removed = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, watermarks=EVERYTHING), disks=disks).clean()

    assert removed == [A]
    assert names(cache) == {B, C}


def test_the_least_popular_goes_first_and_popularity_outlives_a_restart(cache: ImageCache, clock: MemoryClock) -> None:
    for name, hours in [(A, 9), (B, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    cleaning = Cleaning(LIMITS, policy=CachePolicy.POPULARITY, watermarks=Watermarks(above_used=DiskAmount(100 * KIB)))
    disk = cache.directory.parent / "instance-1" / "disk"
    put_overlay(disk, cache.directory / A)
    cleaner_of(cache, clock, cleaning=cleaning)
    disk.unlink()
    clock.advance(9 * HOUR)
    put_kib(cache, B, clock, 64, HOUR)

    assert cleaner_of(cache, clock, cleaning=cleaning).clean() == [B]
    assert cache.removals.recent()[0].reason.endswith(": least used")


@pytest.mark.parametrize("policy", [CachePolicy.AGE, CachePolicy.LRU, CachePolicy.POPULARITY])
def test_what_is_pinned_or_in_use_or_foreign_is_never_evicted(
    cache: ImageCache, clock: MemoryClock, policy: CachePolicy, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, ENTRY, clock, age=9 * HOUR)
    pin(cache)
    put_overlay(cache.directory.parent / "instance-1" / "disk", put(cache, A, clock, age=9 * HOUR))
    put(cache, B, clock, age=HOUR)
    put(cache, f"{C}.part", clock, age=999 * HOUR)
    cleaner = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=policy, watermarks=EVERYTHING))

    removed = [cleaner.clean(), cleaner.clean()]

    assert removed == [[B], []]
    assert names(cache) == {ENTRY, f"{ENTRY}.precache", A, f"{C}.part"}
    assert caplog.text.count("all in use, pinned or in flight") == 1


def test_an_entry_in_flight_is_passed_over_for_the_next_one(cache: ImageCache, clock: MemoryClock) -> None:
    for name, hours in [(A, 3), (B, 2), (C, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    marks = Watermarks(above_used=DiskAmount(150 * KIB))
    cleaner = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=marks))

    with cache.locks.hold_if_free(A):
        assert cleaner.clean() == [B]


def test_an_entry_that_other_hosts_receive_is_passed_over_until_that_ends(
    cache: ImageCache, clock: MemoryClock
) -> None:
    for name, hours in [(A, 3), (B, 2)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    marks = Watermarks(above_used=DiskAmount(100 * KIB), to_used=DiskAmount(70 * KIB))
    cleaner = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=marks))
    cache.served.begin(A, clock.now() + HOUR)

    served = cleaner.clean()
    put_kib(cache, C, clock, 64, HOUR)
    cache.served.end(A)

    assert [served, cleaner.clean()] == [[B], [A]]


def test_what_was_used_a_moment_ago_stays_unless_it_was_published_then(cache: ImageCache, clock: MemoryClock) -> None:
    """A boot of nova-compute touches an entry, and makes its disk a moment later, without the lock in between."""
    put(cache, ENTRY, clock, age=9 * HOUR)
    cache.records.write(EntryRecord(image=IMAGE, cached_at=clock.now() - 9 * HOUR))
    put(cache, A, clock)
    cleaner = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=EVERYTHING))
    put(cache, ENTRY, clock, age=timedelta(seconds=9))

    just_touched = cleaner.clean()
    on_request = {entry.entry: entry.reason for entry in cleaner.clean_now(CleanRequest(everything=True)).kept}
    cache.records.write(EntryRecord(image=IMAGE, cached_at=clock.now() - timedelta(seconds=9)))
    just_published = cleaner.clean()
    clock.advance(timedelta(seconds=10))

    assert just_touched == []
    assert on_request == dict.fromkeys(
        (ENTRY, A), "in flight: it was used a moment ago, and a boot may be making its disk"
    )
    assert just_published == [ENTRY]
    assert cleaner.clean() == [A]


def test_beside_other_hosts_what_was_used_lately_stays_because_their_new_disks_are_not_known_yet(
    cache: ImageCache, clock: MemoryClock
) -> None:
    class LateDisks(InstanceDisks):
        def lateness(self) -> timedelta:
            return timedelta(minutes=20)

    disks = LateDisks(instances_path=cache.directory.parent, cache_directory=cache.directory, domains=Domains())
    put(cache, A, clock, age=timedelta(minutes=19))
    put(cache, B, clock, age=timedelta(minutes=21))
    at_once = Cleaning(ExpiryLimits(timedelta(), timedelta()), watermarks=EVERYTHING)
    cleaner = cleaner_of(cache, clock, cleaning=at_once, disks=disks)

    removed = cleaner.clean()
    kept = cleaner.clean_now(CleanRequest(everything=True)).kept
    purged = EntryRemoval(cache=cache, disks=disks, clock=clock).remove(A, "a test")

    assert removed == [B]
    assert [entry.reason for entry in kept] == [
        "it was used lately, and other hosts that share the cache name their new disks up to 20 minutes later"
    ]
    assert purged.obstacle is Obstacle.USE_UNKNOWN


def test_room_that_the_ledger_lacks_is_made_by_the_cleaner(cache: ImageCache, clock: MemoryClock) -> None:
    for name, hours in [(A, 3), (B, 2), (C, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)

    def small_disk(directory: Path) -> DiskSize:
        used = sum(path.stat().st_blocks for path in directory.glob("[abc]*")) * 512
        return DiskSize(256 * KIB, 256 * KIB - used)

    ledger = SpaceLedger(directory=cache.directory, clock=clock, disk_size=small_disk)
    cleaner = cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.LRU, makes_room=True))
    with ledger.promise(ENTRY, "0123abcd", lambda needed: cleaner.make_room(needed, IMAGE)) as promise:
        too_much = promise.set({"download": 257 * KIB})
        before = names(cache) & {A, B, C}
        fits = promise.set({"download": 128 * KIB})

    assert too_much is not None
    assert before == {A, B, C}
    assert fits is None
    assert names(cache) & {A, B, C} == {B, C}


@pytest.mark.parametrize(("is_pinned", "room_is_made"), [(False, True), (True, False)])
def test_an_image_is_cached_beside_the_mark_so_that_no_pass_evicts_it_at_once(
    cache: ImageCache, clock: MemoryClock, is_pinned: bool, room_is_made: bool
) -> None:
    for name, hours in [(ENTRY, 3), (B, 2), (C, 1)]:
        put_kib(cache, name, clock, 64, hours * HOUR)
    if is_pinned:
        pin(cache)

    def small_disk(directory: Path) -> DiskSize:
        used = sum(path.stat().st_blocks for path in directory.glob("[0-9a-f]" * 40)) * 512
        return DiskSize(256 * KIB, 256 * KIB - used)

    marks = Watermarks(below_free=DiskAmount(percent=25))
    cleaning = Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=marks, makes_room=True)
    ledger = SpaceLedger(directory=cache.directory, clock=clock, disk_size=small_disk, low_mark=cleaning.low_mark)
    cache.ledger = ledger
    cleaner = cleaner_of(cache, clock, cleaning=cleaning)
    with ledger.promise(A, "0123abcd", lambda needed: cleaner.make_room(needed, "image-9")) as promise:
        refused = promise.set({"download": 192 * KIB})
    if refused is None:
        put_kib(cache, A, clock, 192, timedelta())

    assert (refused is None) is room_is_made
    assert refused is None or (refused.reserve_bytes, refused.reserve_option) == (64 * KIB, "evict_below_free")
    assert cleaner.clean() == []


def test_without_make_room_an_image_may_pass_the_mark() -> None:
    marks = Watermarks(below_free=DiskAmount(percent=25))

    assert Cleaning(LIMITS, watermarks=marks).low_mark == DiskAmount()
    assert Cleaning(LIMITS, watermarks=marks, makes_room=True).low_mark == DiskAmount(percent=25)


def test_the_policy_keep_removes_nothing(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, A, clock, age=9999 * HOUR)

    assert cleaner_of(cache, clock, cleaning=Cleaning(LIMITS, policy=CachePolicy.KEEP)).clean() == []


class TestMakeRoom:
    CLEANING = Cleaning(LIMITS, policy=CachePolicy.LRU, makes_room=True)

    def test_exactly_what_is_needed_is_evicted(self, cache: ImageCache, clock: MemoryClock) -> None:
        for name, hours in [(A, 3), (B, 2), (C, 1)]:
            put_kib(cache, name, clock, 64, hours * HOUR)

        freed = cleaner_of(cache, clock, cleaning=self.CLEANING).make_room(100 * KIB, "image-9")

        assert freed == 128 * KIB
        assert names(cache) == {C}
        assert {each.reason for each in cache.removals.recent()} == {"room for image image-9: least recently used"}

    def test_if_room_cannot_be_made_nothing_is_evicted(self, cache: ImageCache, clock: MemoryClock) -> None:
        put_kib(cache, A, clock, 64, HOUR)
        put_kib(cache, ENTRY, clock, 64, HOUR)
        pin(cache)

        assert cleaner_of(cache, clock, cleaning=self.CLEANING).make_room(100 * KIB, "image-9") == 0
        assert A in names(cache)

    @pytest.mark.parametrize("why", ["switched off", "use unknown"])
    def test_where_it_is_not_allowed_or_in_doubt_nothing_is_evicted(
        self, cache: ImageCache, clock: MemoryClock, why: str
    ) -> None:
        put_kib(cache, A, clock, 64, HOUR)
        domains = Domains()
        cleaning = Cleaning(LIMITS, policy=CachePolicy.LRU, makes_room=why != "switched off")
        cleaner = cleaner_of(cache, clock, cleaning=cleaning, domains=domains)
        if why == "use unknown":
            domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")

        assert cleaner.make_room(1, "image-9") == 0
        assert names(cache) == {A}


class TestOnRequest:
    @pytest.fixture(autouse=True)
    def entries(self, cache: ImageCache, clock: MemoryClock) -> None:
        put_kib(cache, A, clock, 64, 30 * HOUR)
        put_kib(cache, B, clock, 64, 20 * HOUR)
        put_kib(cache, ENTRY, clock, 64, 99 * HOUR)
        pin(cache)
        put_overlay(cache.directory.parent / "instance-1" / "disk", put(cache, C, clock, age=99 * HOUR))

    @pytest.mark.parametrize(
        ("request_", "removed"),
        [
            (CleanRequest(), {A: "unused for 30 h"}),
            (CleanRequest(keep_days=1), {A: "cleaned on request, unused for 30 h"}),
            (
                CleanRequest(everything=True),
                {A: "cleaned on request, unused for 30 h", B: "cleaned on request, unused for 20 h"},
            ),
            (CleanRequest(keep_days=2), {}),
        ],
    )
    def test_a_dry_run_names_what_the_request_then_removes_and_changes_nothing(
        self, cache: ImageCache, clock: MemoryClock, request_: CleanRequest, removed: dict[str, str]
    ) -> None:
        cleaner = cleaner_of(cache, clock)
        put(cache, C, clock, age=99 * HOUR)
        before = {path: path.stat().st_mtime for path in cache.directory.iterdir()}

        tried = cleaner.clean_now(CleanRequest(True, request_.everything, request_.keep_days))
        after = {path: path.stat().st_mtime for path in cache.directory.iterdir()}
        done = cleaner.clean_now(request_)

        assert {entry.entry: entry.reason for entry in tried.removed} == removed
        assert after == before
        assert done == tried
        assert done.bytes_freed == len(removed) * 64 * KIB
        assert names(cache) == {A, B, C, ENTRY, f"{ENTRY}.precache"} - set(removed)

    def test_what_stays_is_listed_with_the_reason(self, cache: ImageCache, clock: MemoryClock) -> None:
        with cache.locks.hold_if_free(A):
            result = cleaner_of(cache, clock).clean_now(CleanRequest())

        reasons = {entry.entry: entry.reason for entry in result.kept}
        assert reasons == {
            A: "in flight: a process fetches, copies or boots from it",
            B: "unused for 20 h; it expires after 24 h",
            C: f"in use by 1 disk: {cache.directory.parent / 'instance-1' / 'disk'}",
            ENTRY: "pinned by job:1 until it is unpinned",
        }
        assert {entry.image for entry in result.kept} == {None, IMAGE}

    def test_within_the_first_hour_the_minutes_are_told(self, cache: ImageCache, clock: MemoryClock) -> None:
        put_kib(cache, A, clock, 64, timedelta(minutes=59, seconds=59))

        result = cleaner_of(cache, clock).clean_now(CleanRequest(is_dry_run=True))

        assert [entry.reason for entry in result.kept if entry.entry == A] == [
            "unused for 59 min; it expires after 24 h"
        ]

    def test_while_the_use_is_unknown_it_is_refused(self, cache: ImageCache, clock: MemoryClock) -> None:
        domains = Domains()
        cleaner = cleaner_of(cache, clock, domains=domains)
        domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")

        result = cleaner.clean_now(CleanRequest(everything=True))

        assert "it is not known what is in use" in result.refused
        assert "start libvirtd" in result.refused
        assert A in names(cache)

    def test_a_request_by_the_policy_evicts_as_a_pass_would(self, cache: ImageCache, clock: MemoryClock) -> None:
        cleaning = Cleaning(LIMITS, policy=CachePolicy.LRU, watermarks=Watermarks(above_used=DiskAmount(150 * KIB)))
        (cache.directory / MEMORY_NAME).unlink(missing_ok=True)

        result = cleaner_of(cache, clock, cleaning=cleaning).clean_now(CleanRequest(is_dry_run=True))

        assert [entry.entry for entry in result.removed] == [A]
        assert "evict_above_used" in result.removed[0].reason
