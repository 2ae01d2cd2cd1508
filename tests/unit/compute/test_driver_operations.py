"""What one host does with images for each operation of a job, by the methods of its virt driver."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.cancel_token import CancelToken
from precache.compute.process_images import ProcessImages
from precache.core.errors import ImageNotCached, ImageNotPinned
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, Phase, TaskPaused
from precache.core.operation_result import OperationResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.fetch.rate_limits import RateLimits
from precache.ports.compute_gateway import CallNumber, ImagesRequest
from precache.virt.uncached import UncachedDriver

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
OTHER = parse_image_id("00000000-0000-0000-0000-000000000002")
UNTIL = datetime(2036, 1, 1, tzinfo=UTC)
OTHERS = [operation for operation in Operation if operation is not Operation.CACHE]


class NoReports:
    def add(self, progress):
        pass


class EveryMethod:
    """A driver that has all methods, and notes how they are called. It waits in `verify_image` if `may_end` is set."""

    name = "scripted"

    def __init__(self, result=None, error=None):
        self.result, self.error, self.calls, self.pins = result, error, [], []
        self.begun, self.may_end = threading.Event(), None

    def cache_image(self, order, watch):
        self.calls.append(("cache", order.image))
        watch(Phase.DOWNLOADING, 7, 7)
        return True

    def verify_image(self, order, watch):
        watch(Phase.VERIFYING, 40, 100)
        self.begun.set()
        while self.may_end is not None and not self.may_end.wait(0.01):
            watch(Phase.VERIFYING, 40, 100)
        return self._done("verify", order.image)

    def purge_image(self, order, watch):
        return self._done("purge", order)

    def pin_image(self, image, pin, wait):
        self.pins.append((image, pin))
        self._done("pin", image)

    def unpin_image(self, image, wait):
        return self._done("unpin", image)

    def _done(self, *call):
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return self.result


class OfAnEarlierRelease:
    name = "old"

    def cache_image(self, order, watch):
        raise AssertionError("it must not be asked to cache")


def host_of(driver, *, clock=None, rates=None):
    return ProcessImages(
        host="cmp-1", cell="cell1", driver=driver, progress=NoReports(), clock=clock or MemoryClock(),
        stop=CancelToken(), rates=rates,
    )  # fmt: skip


def request(operation, *images, job="job", **options):
    orders = tuple(ImageOrder(image, OrderOptions(**options)) for image in images or (IMAGE,))
    return ImagesRequest(job, "cmp-1", "cell1", orders, operation=operation)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        (Operation.VERIFY, OperationResult(Outcome.INTACT)),
        (Operation.VERIFY, OperationResult(Outcome.CORRUPT, "piece 7 differs")),
        (Operation.PURGE, OperationResult(Outcome.IN_USE, "in use by 1 disk: /instances/1/disk")),
        (Operation.UNPIN, OperationResult(Outcome.UNPINNED)),
        (Operation.VERIFY, OperationResult(Outcome.ABSENT)),
    ],
)
def test_the_drivers_answer_is_the_result(operation, result):
    driver = EveryMethod(result)

    (answered,) = host_of(driver).process_images(request(operation))

    assert (answered.outcome, answered.reason) == (result.outcome, result.reason)
    assert [name for name, _ in driver.calls] == [operation]


def test_unpinning_an_image_without_a_pin_says_so_because_it_may_be_in_the_cache():
    (answered,) = host_of(EveryMethod(OperationResult(Outcome.ABSENT))).process_images(request(Operation.UNPIN))

    assert (answered.outcome, answered.reason) == (Outcome.ABSENT, "it has no pin")


def test_the_driver_that_purges_knows_whether_pins_count():
    driver = EveryMethod(OperationResult(Outcome.PURGED))

    host_of(driver).process_images(request(Operation.PURGE, even_pinned=True))

    assert driver.calls == [("purge", ImageOrder(IMAGE, OrderOptions(even_pinned=True)))]


@pytest.mark.parametrize("operation", [Operation.CACHE, Operation.PIN])
@pytest.mark.parametrize(
    ("options", "end"),
    [({"keep_for_s": 60}, MemoryClock().now() + timedelta(seconds=60)), ({"keep_until": UNTIL}, UNTIL)],
)
def test_a_pin_has_the_job_and_the_end_of_the_order(operation, options, end):
    driver = EveryMethod()

    (result,) = host_of(driver).process_images(request(operation, **options))

    assert result.outcome is (Outcome.CACHED if operation is Operation.CACHE else Outcome.PINNED)
    assert driver.pins == [(IMAGE, Pin("job:job", end))]


def test_an_image_that_is_not_cached_cannot_be_pinned_and_the_reason_says_how_to_have_both():
    (result,) = host_of(EveryMethod(error=ImageNotCached(IMAGE, "/_base"))).process_images(request(Operation.PIN))

    assert result.outcome is Outcome.ERROR
    assert result.reason.endswith("in /_base. Cache it with keep_for_s or keep_until, which pins it too.")


def test_a_pin_without_a_time_stays_until_it_is_taken_back():
    driver = EveryMethod()

    host_of(driver).process_images(request(Operation.PIN))

    assert driver.pins == [(IMAGE, Pin("job:job", None))]


@pytest.mark.parametrize(("operation", "outcome"), [(Operation.PIN, Outcome.ERROR), (Operation.CACHE, Outcome.CACHED)])
def test_a_pin_whose_end_has_passed_while_the_job_waited_is_not_made(operation, outcome):
    driver, clock = EveryMethod(), MemoryClock()

    (result,) = host_of(driver, clock=clock).process_images(request(operation, keep_until=clock.now()))

    assert (result.outcome, driver.pins) == (outcome, [])
    assert ("its keep_until, 20" in result.reason) is (operation is Operation.PIN)


@pytest.mark.parametrize(
    "error", [ImageNotCached(IMAGE, "/_base"), ImageNotPinned(IMAGE, "/_base", "the disk is full")]
)
def test_an_image_that_cannot_be_pinned_is_an_error_with_the_reason(error):
    (result,) = host_of(EveryMethod(error=error)).process_images(request(Operation.PIN))

    assert (result.outcome, result.reason, result.may_pass) == (Outcome.ERROR, str(error), error.may_pass)


@pytest.mark.parametrize("operation", OTHERS)
def test_a_driver_without_the_method_answers_unsupported_and_does_nothing_else(operation):
    (result,) = host_of(OfAnEarlierRelease()).process_images(request(operation))

    assert result.outcome is Outcome.UNSUPPORTED
    assert result.reason == f"virt driver old of this host cannot {operation} images; install a newer version of it"


@pytest.mark.parametrize("operation", OTHERS)
def test_a_host_without_a_cache_answers_unsupported(operation):
    (result,) = host_of(UncachedDriver()).process_images(request(operation))

    assert result.outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize("operation", OTHERS)
def test_a_request_that_comes_twice_is_answered_from_memory(operation):
    driver = EveryMethod(OperationResult(Outcome.PURGED))
    host = host_of(driver)

    first, second = (host.process_images(request(operation)) for _ in range(2))

    assert first == second
    assert len(driver.calls) == 1


@pytest.mark.parametrize("operation", OTHERS)
def test_a_cancelled_job_does_nothing(operation):
    driver = EveryMethod()

    (result,) = host_of(driver).process_images(replace(request(operation), is_cancelled=True))

    assert (result.outcome, driver.calls) == (Outcome.CANCELLED, [])


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (lambda host: host.cancel_job("job"), Outcome.CANCELLED),
        (lambda host: host.pause_job("job", 0, CallNumber("sender", 9)), TaskPaused(IMAGE, 0)),
    ],
    ids=["cancel", "pause"],
)
def test_a_verification_ends_when_its_job_is_stopped(stop, expected):
    driver = EveryMethod(OperationResult(Outcome.INTACT))
    driver.may_end = threading.Event()
    host = host_of(driver)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.process_images, replace(request(Operation.VERIFY), call=CallNumber("sender", 1)))
        assert driver.begun.wait(10)
        stop(host)
        (result,) = running.result(10)

    assert expected in (result, getattr(result, "outcome", None))
    assert driver.calls == []


def test_only_what_reads_or_writes_whole_images_waits_for_its_turn():
    driver = EveryMethod(OperationResult(Outcome.PURGED))
    driver.may_end = threading.Event()
    host = host_of(driver)

    with ThreadPoolExecutor(2) as threads:
        verifying = threads.submit(host.process_images, request(Operation.VERIFY, job="first"))
        assert driver.begun.wait(10)
        caching = threads.submit(host.process_images, request(Operation.CACHE, OTHER, job="second"))
        host.process_images(request(Operation.PURGE, OTHER, job="third"))
        done_meanwhile = [name for name, _ in driver.calls]
        driver.may_end.set()
        verifying.result(10), caching.result(10)

    assert done_meanwhile == ["purge"]
    assert [name for name, _ in driver.calls] == ["purge", "verify", "cache"]


def test_a_verification_follows_the_rate_of_its_job():
    rates, seen = RateLimits(), []

    class Reads(EveryMethod):
        def verify_image(self, order, watch):
            seen.append(rates.of(order).rate_now())
            host.limit_job("job", {IMAGE: 5}, CallNumber("sender", 9))
            seen.append(rates.of(order).rate_now())
            return OperationResult(Outcome.INTACT)

    host = host_of(Reads(), rates=rates)
    limited = request(Operation.VERIFY, rate_limit_bytes_per_s=9)
    (result,) = host.process_images(replace(limited, call=CallNumber("sender", 1)))

    assert (result.outcome, result.bytes_moved, seen) == (Outcome.INTACT, 0, [9, 5])
