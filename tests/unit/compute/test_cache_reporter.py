"""When a host reports its cache, and what becomes of that when the cache or the bus fails."""

import logging
import threading
from contextlib import nullcontext
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.compute.cache_care import CareSettings
from precache.compute.cache_reporter import LEAST_SHARE, CacheFacts, CacheReporter
from precache.compute.service import ComputeService
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_entries import AlarmKind, CacheListing, CacheSpace, Removal
from precache.core.errors import CacheUnusable, StoreUnavailable
from precache.core.orders import ImageOrder
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.cleaning.removal_log import RemovalLog
from precache.ports.compute_gateway import ImagesRequest
from tests.contract.cache_values import NOW, entry, entry_of, image
from tests.contract.hearing import Hearing
from tests.waiting import wait_until

SPACE = CacheSpace(total_bytes=1000, free_bytes=400)
PERIOD_S = 600


class Cache:
    """A driver whose cache a test changes."""

    name = "played"

    def __init__(self):
        self.numbers, self.error = [1, 2, 3, 4], None

    def list_cache(self):
        if self.error is not None:
            raise self.error
        return CacheListing(tuple(map(entry, self.numbers)), SPACE)

    def start(self): ...

    def clean_cache(self): ...


class Sending(Hearing):
    """Receives reports, unless the bus or the database is down."""

    is_down = raises = False

    def store_reports(self, reports):
        if self.is_down and self.raises:
            raise StoreUnavailable("its disk is full")
        if self.is_down:
            return frozenset(report.host for report in reports)
        return super().store_reports(reports)


class World:
    def __init__(self, **facts):
        self.cache, self.sent, self.seconds, self.chance = Cache(), Sending(), 0.0, 1.0
        self.reporter = CacheReporter(
            host="cmp-1",
            cell="",
            driver=self.cache,
            facts=CacheFacts(**{"owner": "precache"} | facts),
            reports=self.sent,
            clock=MemoryClock(),
            interval=timedelta(hours=1),
            full_interval=timedelta(seconds=PERIOD_S),
            monotonic=lambda: self.seconds,
            chance=lambda: self.chance,
        )

    def report(self):
        """Return the reports that are sent now."""
        before = len(self.sent.caches)
        self.reporter.report()
        return self.sent.caches[before:]


@pytest.fixture
def world():
    return World()


def test_everything_is_reported_first_and_once_in_a_period_and_changes_between(world):
    (first,) = world.report()
    unchanged = world.report()
    world.cache.numbers = [1, 2, 3, 4, 5]
    (change,) = world.report()
    world.seconds = PERIOD_S
    (second,) = world.report()

    assert first.is_full
    assert unchanged == []
    assert [each.entry for each in change.entries] == [entry_of(5)]
    assert second.is_full
    assert world.report() == []


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_hosts_that_start_together_do_not_report_together_later(world, chance):
    world.chance = chance
    world.report()
    world.seconds = chance * PERIOD_S - 1
    early = world.report()
    world.seconds = chance * PERIOD_S
    (second,) = world.report()
    third_at = world.seconds + PERIOD_S * (LEAST_SHARE + (1 - LEAST_SHARE) * chance)
    world.seconds = third_at - 1
    between = world.report()
    world.seconds = third_at

    assert early == between == []
    assert second.is_full
    assert world.report()[0].is_full


def test_alarms_removals_and_the_owner_are_reported():
    alarms, removals = CacheAlarms(clock=MemoryClock()), RemovalLog()
    world = World(policy="lru", alarms=alarms, removals=removals)
    world.reporter.cache_id = "id"
    world.report()
    alarms.set(AlarmKind.MISSING, entry_of(1), None, "it is gone")
    removal = Removal(entry_of(9), None, NOW, "unused", 1)
    removals.note(removal)

    (report,) = world.report()

    assert [alarm.text for alarm in report.alarms] == ["it is gone"]
    assert report.removals == (removal,)
    assert (report.owner, report.policy, report.cache_id, report.space) == ("precache", "lru", "id", SPACE)


def test_a_cache_that_cannot_be_listed_is_reported_later_and_logged_once(world, caplog):
    world.cache.error = CacheUnusable("/cache", "it is not mounted")
    with caplog.at_level(logging.WARNING):
        failed = [world.report(), world.report()]
    world.cache.error = None

    assert failed == [[], []]
    (warning,) = caplog.messages
    assert "cannot be listed" in warning
    assert "it is not mounted" in warning
    assert world.report()[0].is_full


def test_a_cache_that_can_be_listed_no_longer_is_an_alarm_beside_what_was_listed_before():
    world = World(alarms=CacheAlarms(clock=MemoryClock()))
    (before,) = world.report()
    world.cache.error = CacheUnusable("/cache", "it does not exist")
    (told,), again = world.report(), world.report()
    world.seconds = PERIOD_S
    (full,) = world.report()
    world.cache.error = None
    (after,) = world.report()

    for report in (told, full):
        ((kind, text),) = [(alarm.kind, alarm.text) for alarm in report.alarms]
        assert kind is AlarmKind.NOT_LISTED
        assert "it does not exist" in text
    assert (told.is_full, told.entries, told.gone, again) == (False, (), (), [])
    assert full.entries == before.entries
    assert after.alarms == ()


@pytest.mark.parametrize("raises", [False, True])
def test_a_report_that_cannot_be_sent_is_followed_by_everything(world, raises):
    world.report()
    world.sent.is_down, world.sent.raises = True, raises
    world.cache.numbers = [1, 2, 3]
    with pytest.raises(StoreUnavailable) if raises else nullcontext():
        assert world.report() == []
    world.sent.is_down = False
    world.cache.numbers = [1, 2, 3, 4]

    (report,) = world.report()

    assert report.is_full


def test_a_host_that_caches_no_images_says_why(world):
    world.cache.error = NotImplementedError("images_type is rbd")

    (report,) = world.report()

    assert (report.unsupported, report.entries, report.space) == ("images_type is rbd", (), None)
    assert world.report() == []


def test_a_driver_of_an_earlier_release_reports_nothing(world):
    world.reporter._driver = object()

    assert world.report() == []


@pytest.mark.parametrize("change", ["a request to clean", "a pass of the cleaner", "a job"])
def test_what_changes_the_cache_is_reported_at_once(change):
    """The next comparison would come in an hour."""
    hearing, cleaned = Sending(), threading.Event()

    class Cleaned(Cache):
        def clean_now(self, request):
            self.numbers = [1]
            return CleanResult()

        def clean_cache(self):
            if cleaned.is_set():
                self.numbers = [1]

        def cache_image(self, order, watch):
            self.numbers = [1]
            return True

    driver = Cleaned()
    passes = timedelta(milliseconds=10) if change == "a pass of the cleaner" else None
    service = service_of(driver, hearing, interval=timedelta(hours=1), clean_interval=passes)
    service.start()
    service.announce()
    try:
        wait_until(lambda: hearing.caches)
        if change == "a job":
            service.process_images(ImagesRequest("job", "cmp-1", "", (ImageOrder(image(1)),)))
        elif change == "a request to clean":
            service.clean_cache(CleanRequest())
        else:
            cleaned.set()
        wait_until(lambda: [each.entry for each in hearing.caches[-1].entries] == [entry_of(1)])
    finally:
        service.stop(timedelta(seconds=20))


def test_a_listing_that_hangs_stops_neither_heartbeats_nor_the_compute():
    """The compute sends heartbeats while the listing waits, reports when it is woken, and stops."""
    listing, goes_on = threading.Event(), threading.Event()
    hearing, patience = Sending(), 20

    class Slow(Cache):
        def list_cache(self):
            listing.set()
            goes_on.wait(patience)
            return super().list_cache()

    driver = Slow()
    service = service_of(driver, hearing, interval=timedelta(milliseconds=1))
    service.start()
    service.announce()
    try:
        assert listing.wait(patience)
        count = len(hearing.beats)
        wait_until(lambda: len(hearing.beats) > count + 3)
        assert hearing.caches == []
        goes_on.set()
        wait_until(lambda: hearing.caches)
    finally:
        goes_on.set()
        service.stop(timedelta(seconds=patience))
    assert hearing.caches[0].is_full


def service_of(driver, hearing, interval, clean_interval=None):
    """Return a compute whose heartbeats come every millisecond."""
    options = {"host": "cmp-1", "cell": "", "driver": driver, "clock": MemoryClock()}
    reporter = CacheReporter(
        **options,
        facts=CacheFacts(owner="nova"),
        reports=hearing,
        interval=interval,
        full_interval=timedelta(hours=1),
    )
    return ComputeService(
        **options,
        reports=hearing,
        progress=hearing,
        report_interval=timedelta(milliseconds=1),
        reporter=reporter,
        settings=CareSettings(clean_interval=clean_interval),
    )
