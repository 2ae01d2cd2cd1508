"""What one host makes of a request, whatever its driver does."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.process_images import ProcessImages
from precache.core.cache_contents import CacheContents
from precache.core.errors import ImageNotFound, ImageNotPinned, Stopped
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import Outcome, Phase, TaskProgress
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.core.stopping import StopReason
from precache.fetch.rate_limits import RateLimits
from precache.ports.compute_gateway import ImagesRequest
from tests.waiting import wait_until

FIRST = parse_image_id("00000000-0000-0000-0000-000000000001")
SECOND = parse_image_id("00000000-0000-0000-0000-000000000002")
THIRD = parse_image_id("00000000-0000-0000-0000-000000000003")


class ScriptedDriver:
    """A driver that does for each image what the script says: gives a bool, or raises."""

    name = "scripted"

    def __init__(self, script: dict[ImageId, bool | Exception]) -> None:
        self.script = script
        self.asked: list[ImageId] = []

    def start(self) -> None: ...

    def clean_cache(self) -> None: ...

    def cache_image(self, order, watch):
        self.asked.append(order.image)
        what = self.script[order.image]
        if isinstance(what, Exception):
            raise what
        if what:
            watch(Phase.DOWNLOADING, 40, 100)
            watch(Phase.DOWNLOADING, 100, 100)
            watch(Phase.CONVERTING, 100, 100)
        return what


class Reports:
    def __init__(self) -> None:
        self.seen: list[TaskProgress] = []

    def add(self, progress: TaskProgress) -> None:
        self.seen.append(progress)


def compute(driver, *, progress=None, stop=None, clock=None, rates=None) -> ProcessImages:
    return ProcessImages(
        host="cmp-1",
        cell="cell1",
        driver=driver,
        progress=progress or Reports(),
        clock=clock or MemoryClock(),
        stop=stop or CancelToken(),
        rates=rates,
    )


def request(*images: ImageId) -> ImagesRequest:
    return ImagesRequest("job", "cmp-1", "cell1", tuple(map(ImageOrder, images)))


def test_images_are_dealt_with_in_the_order_of_the_request():
    driver = ScriptedDriver({FIRST: True, SECOND: False, THIRD: True})

    results = compute(driver).process_images(request(THIRD, FIRST, SECOND))

    assert driver.asked == [THIRD, FIRST, SECOND]
    assert [result.image for result in results] == [THIRD, FIRST, SECOND]
    assert [result.outcome for result in results] == [Outcome.CACHED, Outcome.CACHED, Outcome.EXISTING]


def test_an_image_that_is_done_is_reported_before_the_next_one():
    reports = Reports()
    driver = ScriptedDriver({FIRST: False, SECOND: ImageNotFound(SECOND), THIRD: True})

    compute(driver, progress=reports).process_images(request(FIRST, SECOND, THIRD))

    done = [(each.image, each.bytes_done, each.bytes_total) for each in reports.seen if each.phase is Phase.DONE]
    assert done == [(FIRST, 0, 0), (SECOND, 0, 0)]
    assert [each.image for each in reports.seen] == [FIRST, SECOND, THIRD, THIRD, THIRD]


def test_one_failure_does_not_stop_the_rest():
    driver = ScriptedDriver({FIRST: ImageNotFound(FIRST), SECOND: RuntimeError("surprise"), THIRD: True})

    results = compute(driver).process_images(request(FIRST, SECOND, THIRD))

    assert [result.outcome for result in results] == [Outcome.ERROR, Outcome.ERROR, Outcome.CACHED]
    assert results[0].reason == f"Image {FIRST} could not be found."
    assert "surprise" in results[1].reason


def test_a_reason_with_a_file_name_that_is_no_utf_8_can_be_stored(caplog):
    caplog.set_level(logging.CRITICAL)  # what the log holds goes from one process of the tests to another as UTF-8
    driver = ScriptedDriver({FIRST: RuntimeError("caf\udce9.raw is gone"), SECOND: OSError(2, "gone", "caf\udce9.raw")})

    results = compute(driver).process_images(request(FIRST, SECOND))

    assert all("caf\\udce9.raw" in result.reason for result in results)
    assert all(result.reason.encode() for result in results)


def test_a_driver_without_support_is_logged_once_per_request(caplog):
    driver = ScriptedDriver({FIRST: NotImplementedError(), SECOND: NotImplementedError("images live in Ceph")})

    with caplog.at_level(logging.WARNING):
        results = compute(driver).process_images(request(FIRST, SECOND))

    assert [result.outcome for result in results] == [Outcome.UNSUPPORTED, Outcome.UNSUPPORTED]
    assert results[0].reason
    assert results[1].reason == "images live in Ceph"
    assert [record.message for record in caplog.records].count(
        "Virt driver scripted on cmp-1 does not support image pre-caching; ignoring request"
    ) == 1
    assert len(caplog.records) == 1


def test_bytes_moved_are_those_that_came_over_the_network():
    driver = ScriptedDriver({FIRST: True, SECOND: False})

    results = compute(driver).process_images(request(FIRST, SECOND))

    assert [result.bytes_moved for result in results] == [100, 0]


def test_progress_names_job_host_and_image():
    reports = Reports()

    compute(ScriptedDriver({FIRST: True}), progress=reports).process_images(request(FIRST))

    assert reports.seen[0] == TaskProgress("job", "cmp-1", FIRST, Phase.DOWNLOADING, 40, 100, "cell1")
    assert reports.seen[-1].phase is Phase.CONVERTING


def test_a_stopped_compute_refuses_before_it_begins():
    stop = CancelToken()
    stop.cancel(StopReason.SHUTDOWN)
    driver = ScriptedDriver({FIRST: True})

    with pytest.raises(Stopped):
        compute(driver, stop=stop).process_images(request(FIRST))

    assert driver.asked == []


def test_a_running_transfer_is_stopped_at_its_next_progress():
    stop = CancelToken()

    class StoppingDriver(ScriptedDriver):
        def cache_image(self, order, watch):
            stop.cancel(StopReason.SHUTDOWN)
            return super().cache_image(order, watch)

    with pytest.raises(Stopped):
        compute(StoppingDriver({FIRST: True}), stop=stop).process_images(request(FIRST))


class HeldBackDriver(ScriptedDriver):
    """A driver whose limit holds each image back for an hour, of which it says so."""

    def __init__(self, clock, rates):
        super().__init__({})
        self._clock, self._rates = clock, rates

    def cache_image(self, order, watch):
        limit = self._rates.of(order)
        for _ in range(3600):
            self._clock.advance(timedelta(seconds=1))
            limit.note_wait(1)
            watch(Phase.DOWNLOADING, 1, 100)
        return True


@pytest.mark.parametrize(("is_fixed", "outcome"), [(False, Outcome.CACHED), (True, Outcome.ERROR)])
def test_time_in_which_a_rate_limit_holds_the_download_back_does_not_count(is_fixed, outcome):
    clock, rates = MemoryClock(), RateLimits()
    deadline = Deadline(timedelta(seconds=10), lambda: clock.now().timestamp(), is_fixed=is_fixed)

    host = compute(HeldBackDriver(clock, rates), clock=clock, rates=rates)

    results = host.process_images(replace(request(FIRST, SECOND), deadline=deadline))
    assert [result.outcome for result in results] == [outcome] * 2


@pytest.mark.parametrize(("is_fixed", "outcome"), [(False, Outcome.CACHED), (True, Outcome.ERROR)])
def test_time_in_which_it_waits_for_the_image_of_another_job_does_not_count(is_fixed, outcome):
    clock, begun, may_end = MemoryClock(), threading.Event(), threading.Event()
    reports = Reports()

    class OneAfterAnother(ScriptedDriver):
        def cache_image(self, order, watch):
            if order.image == FIRST:
                begun.set()
                assert may_end.wait(10)
            return True

    host = compute(OneAfterAnother({}), clock=clock, progress=reports)
    deadline = Deadline(timedelta(seconds=10), lambda: clock.now().timestamp(), is_fixed=is_fixed)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, request(FIRST))
        assert begun.wait(10)
        second = threads.submit(host.process_images, replace(request(SECOND), job_id="other", deadline=deadline))
        wait_until(lambda: any(each.job_id == "other" for each in reports.seen))
        clock.advance(timedelta(hours=1))
        if is_fixed:
            second.result(10)
        may_end.set()

        assert second.result(10)[0].outcome is outcome
        assert first.result(10)[0].outcome is Outcome.CACHED


def test_a_wait_for_work_that_hangs_ends_with_the_deadline():
    clock, begun, may_end = MemoryClock(), threading.Event(), threading.Event()
    begin, reports = clock.now(), Reports()

    class Hangs(ScriptedDriver):
        def cache_image(self, order, watch):
            begun.set()
            assert may_end.wait(10)
            return True

    def within(seconds):
        return Deadline(timedelta(seconds=seconds), lambda: clock.now().timestamp())

    host = compute(Hangs({}), clock=clock, progress=reports)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, replace(request(FIRST), deadline=within(100)))
        assert begun.wait(10)
        waiting = replace(request(SECOND), job_id="other", deadline=within(100))
        second = threads.submit(host.process_images, waiting)
        wait_until(lambda: reports.seen)
        clock.advance(timedelta(seconds=100))

        def counts():
            clock.advance(timedelta(seconds=1))
            return waiting.deadline.left_s < 100

        wait_until(counts)
        assert clock.now() > begin + timedelta(seconds=160)
        clock.advance(timedelta(seconds=101))

        assert second.result(10)[0].reason.startswith(f"Image {SECOND} was stopped after 0 bytes")
        may_end.set()
        assert first.result(10)[0].outcome is Outcome.CACHED


def test_an_image_that_is_in_the_cache_needs_no_turn():
    begun, may_end = threading.Event(), threading.Event()

    class Holds(ScriptedDriver):
        def describe_cache(self, images):
            return CacheContents(held=frozenset({each.image for each in images} & {SECOND}))

        def cache_image(self, order, watch):
            if order.image == FIRST:
                begun.set()
                assert may_end.wait(10)
            return order.image == FIRST

    host = compute(Holds({}))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(host.process_images, request(FIRST))
        assert begun.wait(10)

        (result,) = host.process_images(replace(request(SECOND), job_id="other"))
        may_end.set()

        assert result.outcome is Outcome.EXISTING
        assert first.result(10)[0].outcome is Outcome.CACHED


class DrippingDriver(ScriptedDriver):
    """A driver to which a byte comes every ten seconds, for ever."""

    def __init__(self, clock):
        super().__init__({})
        self._clock = clock

    def cache_image(self, order, watch):
        self.asked.append(order.image)
        for count in range(10**6):
            watch(Phase.DOWNLOADING, count, 10**6)
            self._clock.advance(timedelta(seconds=10))


def test_time_of_a_request_that_is_over_ends_what_is_under_way_and_what_has_not_begun():
    clock = MemoryClock()
    driver = DrippingDriver(clock)
    begin = clock.now()
    deadline = Deadline(timedelta(seconds=100), monotonic=lambda: clock.now().timestamp())

    results = compute(driver, clock=clock).process_images(replace(request(FIRST, SECOND), deadline=deadline))

    assert driver.asked == [FIRST]
    assert [result.outcome for result in results] == [Outcome.ERROR, Outcome.ERROR]
    assert results[0].reason.startswith(f"Image {FIRST} was stopped after 9 bytes: the time that the conductor allows")
    assert "long_rpc_timeout" in results[1].reason
    assert clock.now() == begin + timedelta(seconds=100)


class KeepingDriver(ScriptedDriver):
    """A scripted driver that can keep images; `kept` has the ends by image."""

    def __init__(self, script, *, clock, error=None) -> None:
        super().__init__(script)
        self.clock, self.error, self.kept = clock, error, {}

    def cache_image(self, order, watch):
        self.clock.advance(timedelta(hours=1))  # the download
        return super().cache_image(order, watch)

    def pin_image(self, image, pin, wait):
        if self.error is not None:
            raise self.error
        self.kept[image] = pin


def keeping(image, keep_for_s=60):
    return ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(image, OrderOptions(keep_for_s=keep_for_s)),))


@pytest.mark.parametrize("is_fetched", [True, False])
def test_the_time_for_which_an_image_is_kept_begins_when_it_is_cached(is_fetched):
    clock = MemoryClock()
    driver = KeepingDriver({FIRST: is_fetched}, clock=clock)

    results = compute(driver, clock=clock).process_images(keeping(FIRST))

    assert [result.outcome for result in results] == [Outcome.CACHED if is_fetched else Outcome.EXISTING]
    assert driver.kept == {FIRST: Pin("job:job", clock.now() + timedelta(seconds=60))}


def test_an_image_is_not_kept_if_it_was_not_requested_or_not_cached():
    driver = KeepingDriver({FIRST: True, SECOND: ImageNotFound(SECOND)}, clock=MemoryClock())
    host = compute(driver)

    host.process_images(request(FIRST))
    host.process_images(replace(keeping(SECOND), job_id="other"))

    assert driver.kept == {}


def test_an_image_that_cannot_be_kept_is_an_error_with_its_bytes_and_the_reason():
    error = ImageNotPinned(FIRST, "/_base", "its record: the disk is full")
    driver = KeepingDriver({FIRST: True}, clock=MemoryClock(), error=error)

    (result,) = compute(driver).process_images(keeping(FIRST))

    assert (result.outcome, result.bytes_moved, result.may_pass) == (Outcome.ERROR, 100, True)
    assert "is in the cache /_base, but cannot be pinned: its record: the disk is full" in result.reason


def test_a_driver_that_cannot_keep_images_is_an_error_before_anything_is_downloaded():
    driver = ScriptedDriver({FIRST: True})

    (result,) = compute(driver).process_images(keeping(FIRST))

    assert (result.outcome, driver.asked) == (Outcome.ERROR, [])
    assert "virt driver scripted of this host cannot pin images" in result.reason
