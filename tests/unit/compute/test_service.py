"""When a compute speaks of itself, and how it ends."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.compute.cache_care import CareSettings
from precache.compute.service import ComputeService
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed, CacheUnusable, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, Phase
from precache.core.operation_result import OperationResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))
PATIENCE = timedelta(seconds=20)


class EndlessDriver:
    """Downloads until it is stopped, and then leaves `has_ended` set."""

    name = "endless"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.has_begun, self.has_ended = threading.Event(), threading.Event()

    def start(self) -> None:
        if self.error is not None:
            raise self.error

    def clean_cache(self) -> None: ...

    def cache_image(self, order, watch):
        try:
            while not self.has_ended.wait(0.01):
                watch(Phase.DOWNLOADING, 1, 2)
                self.has_begun.set()
        finally:
            self.has_ended.set()


class Hearing:
    def __init__(self) -> None:
        self.beats, self.twice = [], threading.Event()

    def store_heartbeats(self, beats) -> None:
        self.beats += beats
        if len(self.beats) > 1:
            self.twice.set()

    def add(self, progress) -> None: ...


@pytest.fixture
def hearing():
    return Hearing()


def compute(hearing, driver=None, interval=timedelta(hours=1), **settings):
    return ComputeService(
        host="cmp-1",
        cell="",
        driver=driver or EndlessDriver(),
        reports=hearing,
        progress=hearing,
        clock=MemoryClock(),
        report_interval=interval,
        settings=CareSettings(clean_interval=timedelta(hours=1), **settings),
    )


def test_a_compute_says_nothing_of_itself_before_requests_can_come(hearing):
    service = compute(hearing)

    service.start()
    service.stop(PATIENCE)

    assert hearing.beats == []


def test_an_announced_compute_sends_a_heartbeat_at_once_and_regularly(hearing):
    service = compute(hearing, interval=timedelta(milliseconds=1))
    service.start()

    service.announce()

    assert hearing.beats[0].host == "cmp-1"
    assert hearing.twice.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)


def test_the_pinned_images_are_touched_from_the_start_and_regularly(hearing):
    touches, twice = [], threading.Event()

    class KeepingDriver(EndlessDriver):
        def touch_pinned(self):
            touches.append(1)
            if len(touches) > 1:
                twice.set()
            return ()

    service = compute(hearing, KeepingDriver(), touch_interval=timedelta(milliseconds=1))
    service.start()

    assert twice.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)


class MissingDriver(EndlessDriver):
    """A driver from whose cache a pinned image is gone until it is fetched; `passes` are notified."""

    def __init__(self) -> None:
        super().__init__()
        self.passes, self.fetched_after = 0, []
        self.enough = threading.Event()

    def touch_pinned(self):
        self.passes += 1
        if self.passes > 5:
            self.enough.set()
        return [] if self.fetched_after else [IMAGE]

    def cache_image(self, order, watch):
        self.fetched_after.append(self.passes)
        return True


@pytest.mark.parametrize("restores", [True, False])
def test_a_pinned_image_that_is_gone_is_restored_from_the_second_pass_on(hearing, restores):
    driver = MissingDriver()
    service = compute(hearing, driver, touch_interval=timedelta(milliseconds=1), restores_pinned=restores)
    service.start()

    assert driver.enough.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)

    assert len(driver.fetched_after) == restores
    assert all(passes >= 2 for passes in driver.fetched_after)


def test_a_pinned_image_that_a_verification_moved_aside_is_restored_at_once(hearing):
    first_pass, fetched = threading.Event(), threading.Event()

    class CorruptDriver(EndlessDriver):
        missing = ()

        def touch_pinned(self):
            first_pass.set()
            return self.missing

        def verify_image(self, order, watch):
            self.missing = (order.image,)
            return OperationResult(Outcome.CORRUPT, "it was moved")

        def cache_image(self, order, watch):
            self.missing = ()
            fetched.set()
            return True

    service = compute(hearing, CorruptDriver(), touch_interval=timedelta(hours=1))
    service.start()
    assert first_pass.wait(PATIENCE.total_seconds())

    (result,) = service.process_images(replace(REQUEST, operation=Operation.VERIFY))

    assert result.outcome is Outcome.CORRUPT
    assert fetched.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)


def test_new_entries_are_hashed_from_the_start_and_the_stop_ends_it(hearing, caplog):
    has_begun, has_ended = threading.Event(), threading.Event()

    class HashingDriver(EndlessDriver):
        def hash_entries(self, check_stop) -> None:
            has_begun.set()
            try:
                while True:
                    check_stop()
            finally:
                has_ended.set()

    service = compute(hearing, HashingDriver())
    service.start()

    assert has_begun.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)
    assert has_ended.is_set()
    assert "ERROR" not in caplog.text


@pytest.mark.parametrize("operation", [Operation.UNPIN, Operation.PURGE])
def test_an_image_that_is_unpinned_or_purged_is_no_longer_fetched_again(hearing, operation):
    class UnwantedDriver(EndlessDriver):
        def touch_pinned(self):
            return () if self.has_ended.is_set() else (IMAGE,)

        def unpin_image(self, image, wait):
            assert self.has_ended.wait(PATIENCE.total_seconds())
            return OperationResult(Outcome.UNPINNED)

        def purge_image(self, order, watch):
            return self.unpin_image(order.image, watch)

    driver = UnwantedDriver()
    service = compute(hearing, driver, touch_interval=timedelta(milliseconds=1))
    service.start()
    assert driver.has_begun.wait(PATIENCE.total_seconds())

    (result,) = service.process_images(replace(REQUEST, operation=operation))

    assert result.outcome is Outcome.UNPINNED
    service.stop(PATIENCE)


def test_the_stop_ends_the_restoring_of_an_image(hearing):
    class MissingForEver(EndlessDriver):
        def touch_pinned(self):
            return (IMAGE,)

    driver = MissingForEver()
    service = compute(hearing, driver, touch_interval=timedelta(milliseconds=1))
    service.start()

    assert driver.has_begun.wait(PATIENCE.total_seconds())
    service.stop(PATIENCE)
    assert driver.has_ended.is_set()


def test_a_compute_that_is_being_stopped_is_not_announced_any_more(hearing):
    service = compute(hearing)
    service.start()
    service.ask_to_stop()

    service.announce()
    service.stop(PATIENCE)

    assert hearing.beats == []


def test_a_transfer_ends_when_its_compute_is_asked_to_stop(hearing):
    driver = EndlessDriver()
    service = compute(hearing, driver)
    service.start()
    endings = []

    def ask():
        try:
            service.process_images(REQUEST)
        except Stopped as error:
            endings.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert driver.has_begun.wait(PATIENCE.total_seconds())

    service.ask_to_stop()

    asking.join(PATIENCE.total_seconds())
    assert driver.has_ended.is_set()
    assert len(endings) == 1
    with pytest.raises(Stopped):
        service.process_images(REQUEST)
    service.stop(PATIENCE)


def test_a_compute_whose_cache_is_of_no_use_does_not_start_and_can_be_stopped(hearing):
    service = compute(hearing, EndlessDriver(CacheUnusable("/cache", "it is a file")))

    with pytest.raises(CacheUnusable):
        service.start()

    service.stop(PATIENCE)
    assert hearing.beats == []


class DescribingDriver(EndlessDriver):
    def describe_cache(self, images):
        if self.error is not None:
            raise self.error
        return CacheContents(held=frozenset(size.image for size in images))


def test_a_compute_describes_its_drivers_cache(hearing):
    assert compute(hearing, DescribingDriver()).describe_cache([ImageSize(IMAGE)]).held == {IMAGE}


def test_a_host_that_caches_nothing_says_why(hearing):
    driver = DescribingDriver(NotImplementedError("images_type is rbd"))

    assert compute(hearing, driver).describe_cache([ImageSize(IMAGE)]).unsupported == "images_type is rbd"


def test_a_driver_of_an_earlier_release_is_named(hearing):
    with pytest.raises(CacheNotDescribed, match="driver endless cannot describe its cache"):
        compute(hearing, EndlessDriver()).describe_cache([ImageSize(IMAGE)])


class CleaningDriver(EndlessDriver):
    def clean_now(self, request):
        if self.error is not None:
            raise self.error
        return CleanResult(policy=f"all: {request.everything}")


def test_a_compute_has_its_driver_clean_the_cache(hearing):
    assert compute(hearing, CleaningDriver()).clean_cache(CleanRequest(everything=True)).policy == "all: True"


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (CleaningDriver(NotImplementedError("images_type is rbd")), "images_type is rbd"),
        (CleaningDriver(CacheUnusable("/cache", "it is a file")), "The image cache in /cache cannot be used"),
        (EndlessDriver(), "the virt driver endless cannot do it; use a release of the driver"),
    ],
)
def test_a_cache_that_cannot_be_cleaned_is_refused_with_the_reason(hearing, driver, reason):
    assert reason in compute(hearing, driver).clean_cache(CleanRequest()).refused
