"""What every gateway to hosts does, seen from the conductor."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.background.cancel_token import CancelToken
from precache.compute.process_images import ProcessImages
from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed, ComputeUnreachable, PrecacheError, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskPaused, TaskResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.relays import Assignment, Peer, Source
from precache.ports.compute_gateway import ImagesRequest
from precache.virt.fake import FakeDriver
from tests.contract.buses import BusWorld
from tests.played_host import PlayedHost
from tests.waiting import wait_until

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
OTHER = parse_image_id("00000000-0000-0000-0000-000000000002")
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))
PATIENCE_S = 30
SIZES = (ImageSize(IMAGE, 100, 700, "qcow2"), ImageSize(OTHER))
WITHIN = timedelta(seconds=10)


class InProcessWorld:
    """Plain calls."""

    def __init__(self):
        self._computes = InProcessComputes()
        self.join, self.leave = self._computes.join, self._computes.leave

    def gateway(self):
        return self._computes

    def close(self):
        pass


@pytest.fixture(params=["inprocess", pytest.param("oslo", marks=pytest.mark.external)])
def world(request):
    """Return something with a gateway, to which computes are connected by `join` under a host's name."""
    made = InProcessWorld() if request.param == "inprocess" else BusWorld(request.getfixturevalue("cell_url"))
    yield made
    made.close()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"priority": 80, "retry_count": 2},
        {"is_cancelled": True},
        {"is_paused": True},
        {"operation": Operation.PURGE},
        {"orders": (ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=9)), ImageOrder(OTHER))},
    ],
)
def test_the_host_gets_the_whole_request_and_its_answer_is_returned(world, changes):
    received = []
    request = replace(REQUEST, **changes)
    answer = [
        TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7),
        TaskResult(IMAGE, Outcome.ERROR, reason="no answer", may_pass=True),
        TaskResult(IMAGE, Outcome.IN_USE, reason="in use by 1 disk: /disk"),
        TaskPaused(IMAGE, 2**40),
    ]

    def compute(request):
        received.append(request)
        return answer

    world.join("cmp-1", PlayedHost(compute))

    assert list(world.gateway().process_images(request)) == answer
    assert [replace(each, deadline=None) for each in received] == [request]


def test_a_reason_is_returned_as_text_that_can_be_stored(world):
    result = TaskResult(IMAGE, Outcome.ERROR, reason="caf\udce9.raw\nis gone\x00")

    world.join("cmp-1", PlayedHost(lambda request: [result]))

    assert world.gateway().process_images(REQUEST)[0].reason == "caf\\udce9.raw is gone "


def test_a_host_without_a_compute_is_unreachable_and_named(world):
    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        world.gateway().process_images(REQUEST)


def test_a_compute_that_is_being_stopped_reports_it(world):
    def compute(request):
        raise Stopped("Caching")

    world.join("cmp-1", PlayedHost(compute))

    with pytest.raises(Stopped):
        world.gateway().process_images(REQUEST)


def test_a_compute_that_left_is_unreachable(world):
    world.join("cmp-1", PlayedHost(lambda request: []))
    gateway = world.gateway()

    world.leave("cmp-1")

    with pytest.raises(ComputeUnreachable):
        gateway.process_images(REQUEST)


class Downloads:
    """The port `ProgressSink`: knows which jobs have begun to download."""

    def __init__(self):
        self._begun = {}
        self._lock = threading.Lock()

    def of(self, job_id):
        with self._lock:
            return self._begun.setdefault(job_id, threading.Event())

    def add(self, progress):
        if progress.bytes_done:
            self.of(progress.job_id).set()


@contextmanager
def running(world, *requests, delay=timedelta(hours=1)):
    """Have a host download for these requests; yield a gateway and the pending answers."""
    downloads = Downloads()
    driver = FakeDriver(clock=SystemClock(), delay=delay)
    host = ProcessImages(
        host="cmp-1", cell="cell1", driver=driver, progress=downloads, clock=SystemClock(), stop=CancelToken()
    )
    world.join(
        "cmp-1", PlayedHost(host.process_images, host.cancel_job, pause_job=host.pause_job, limit_job=host.limit_job)
    )
    gateway = world.gateway()
    with ThreadPoolExecutor(len(requests) + 1) as threads:
        answers = []
        for request in requests:
            answers.append(threads.submit(gateway.process_images, request))
            assert requests.index(request) or downloads.of(request.job_id).wait(PATIENCE_S)
        try:
            yield gateway, answers
        finally:
            for request in requests:
                host.cancel_job(request.job_id)


def test_a_cancel_ends_the_request_that_runs_with_the_bytes_that_had_come_in(world):
    with running(world, REQUEST) as (gateway, (answer,)):
        gateway.cancel("job", "cmp-1", "cell1")

        (result,) = answer.result(PATIENCE_S)

    assert (result.image, result.outcome, result.reason) == (IMAGE, Outcome.CANCELLED, "")
    assert result.bytes_moved > 0


def test_a_cancel_that_overtakes_its_request_counts_nevertheless(world):
    with running(world) as (gateway, _):
        gateway.cancel("job", "cmp-1", "cell1")

        (result,) = gateway.process_images(REQUEST)

    assert (result.outcome, result.bytes_moved) == (Outcome.CANCELLED, 0)


def test_a_cancel_may_be_repeated_and_what_was_done_keeps_its_outcome(world):
    with running(world, delay=timedelta()) as (gateway, _):
        done = gateway.process_images(REQUEST)

        gateway.cancel("job", "cmp-1", "cell1")
        gateway.cancel("job", "cmp-1", "cell1")

        assert list(gateway.process_images(REQUEST)) == list(done)
        assert done[0].outcome is Outcome.CACHED


def test_a_job_that_the_host_does_not_know_can_be_cancelled(world):
    cancelled = []
    world.join("cmp-1", PlayedHost(lambda request: [], lambda *call: cancelled.append(call)))

    world.gateway().cancel("unknown", "cmp-1", "cell1")

    assert cancelled == [("unknown", 0)]


def test_a_cancel_leaves_the_download_of_the_same_image_for_another_job(world):
    other = replace(REQUEST, job_id="other")
    with running(world, REQUEST, other, delay=timedelta(seconds=1)) as (gateway, (cancelled, goes_on)):
        gateway.cancel("job", "cmp-1", "cell1")

        assert cancelled.result(PATIENCE_S)[0].outcome is Outcome.CANCELLED
        assert goes_on.result(PATIENCE_S)[0].outcome is Outcome.CACHED


def test_a_cancel_concerns_one_attempt_of_an_operator_to_retry_the_job(world):
    with running(world, delay=timedelta()) as (gateway, _):
        gateway.cancel("job", "cmp-1", "cell1")

        results = [gateway.process_images(replace(REQUEST, retry_count=count))[0].outcome for count in (0, 1)]
        gateway.cancel("job", "cmp-1", "cell1", 2)
        (third,) = gateway.process_images(replace(REQUEST, retry_count=2))

    assert [*results, third.outcome] == [Outcome.CANCELLED, Outcome.CACHED, Outcome.CANCELLED]


def test_a_pause_ends_the_request_that_runs_and_the_next_request_resumes_the_job(world):
    with running(world, REQUEST) as (gateway, (answer,)):
        gateway.pause("job", "cmp-1", "cell1")
        gateway.pause("job", "cmp-1", "cell1")

        assert list(answer.result(PATIENCE_S)) == [TaskPaused(IMAGE)]
        with ThreadPoolExecutor(1) as threads:
            resumed = threads.submit(gateway.process_images, REQUEST)
            with pytest.raises(TimeoutError):
                resumed.result(0.5)
            gateway.cancel("job", "cmp-1", "cell1")
            assert resumed.result(PATIENCE_S)[0].outcome is Outcome.CANCELLED


def test_a_request_of_a_paused_job_that_asks_how_its_images_ended_begins_nothing(world):
    with running(world) as (gateway, _):
        gateway.pause("job", "cmp-1", "cell1")

        assert list(gateway.process_images(replace(REQUEST, is_paused=True))) == [TaskPaused(IMAGE)]


def test_what_was_done_before_a_pause_keeps_its_outcome(world):
    with running(world, delay=timedelta()) as (gateway, _):
        done = gateway.process_images(REQUEST)
        gateway.pause("job", "cmp-1", "cell1")

        assert list(gateway.process_images(replace(REQUEST, is_paused=True))) == list(done)


def test_a_pause_leaves_the_download_of_the_same_image_for_another_job(world):
    other = replace(REQUEST, job_id="other")
    with running(world, REQUEST, other, delay=timedelta(seconds=1)) as (gateway, (paused, goes_on)):
        gateway.pause("job", "cmp-1", "cell1")

        assert list(paused.result(PATIENCE_S)) == [TaskPaused(IMAGE)]
        assert goes_on.result(PATIENCE_S)[0].outcome is Outcome.CACHED


def test_new_limits_reach_the_host_with_a_number_that_grows_from_call_to_call(world):
    calls = []
    world.join(
        "cmp-1",
        PlayedHost(
            lambda request: calls.append(request.call) or [],
            pause_job=lambda job_id, retry_count, call: calls.append(call),
            limit_job=lambda *call: calls.append(call),
        ),
    )
    gateway = world.gateway()

    gateway.process_images(REQUEST)
    gateway.pause("job", "cmp-1", "cell1", 3)
    gateway.limit("job", "cmp-1", "cell1", {IMAGE: 10**6, OTHER: None})

    began, paused, (job_id, rates, limited) = calls
    assert (job_id, rates) == ("job", {IMAGE: 10**6, OTHER: None})
    assert began.precedes(paused)
    assert paused.precedes(limited)
    assert not limited.precedes(began)


def test_a_pause_concerns_a_request_that_has_its_number_from_before(world):
    with running(world, delay=timedelta()) as (gateway, _):
        call = gateway.next_call()
        gateway.pause("job", "cmp-1", "cell1")

        overtaken = gateway.process_images(replace(REQUEST, call=call))
        resumed = gateway.process_images(REQUEST)

    assert list(overtaken) == [TaskPaused(IMAGE)]
    assert resumed[0].outcome is Outcome.CACHED


STEERING = {
    "cancel": lambda gateway: gateway.cancel("job", "cmp-1", "cell1"),
    "pause": lambda gateway: gateway.pause("job", "cmp-1", "cell1"),
    "limit": lambda gateway: gateway.limit("job", "cmp-1", "cell1", {IMAGE: None}),
}


@pytest.fixture(params=list(STEERING))
def steer(request):
    return STEERING[request.param]


def test_a_host_without_a_compute_cannot_confirm_and_is_named(world, steer):
    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        steer(world.gateway())


def test_a_compute_that_left_cannot_confirm(world, steer):
    world.join("cmp-1", PlayedHost(lambda request: []))
    gateway = world.gateway()

    world.leave("cmp-1")

    with pytest.raises(ComputeUnreachable):
        steer(gateway)


def joined(world, describe):
    """Return a gateway to a host that describes its cache with this function."""
    world.join("cmp-1", PlayedHost(lambda request: [], describe_cache=describe))
    return world.gateway()


@pytest.mark.parametrize(
    "contents",
    [
        CacheContents(),
        CacheContents(held=frozenset({IMAGE, OTHER})),
        CacheContents(held=frozenset({OTHER}), needed_bytes=800, free_bytes=2**40),
        CacheContents(unsupported="the hypervisor of this host keeps no image cache"),
    ],
)
def test_a_host_is_given_the_images_and_its_description_comes_back(world, contents):
    received = []

    def describe(images):
        received.append(tuple(images))
        return contents

    assert joined(world, describe).describe_cache("cmp-1", "cell1", SIZES, WITHIN) == contents
    assert received == [SIZES]


def test_a_cache_is_described_while_the_host_downloads(world):
    driver = FakeDriver(clock=SystemClock(), delay=timedelta(hours=1))
    downloads = Downloads()
    host = ProcessImages(
        host="cmp-1", cell="cell1", driver=driver, progress=downloads, clock=SystemClock(), stop=CancelToken()
    )
    world.join("cmp-1", PlayedHost(host.process_images, describe_cache=driver.describe_cache))
    gateway = world.gateway()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(gateway.process_images, REQUEST)
        assert downloads.of("job").wait(PATIENCE_S)

        contents = gateway.describe_cache("cmp-1", "cell1", SIZES, WITHIN)
        host.cancel_job("job")

    assert contents.held == frozenset()


def test_a_host_that_cannot_describe_its_cache_says_so(world):
    def cannot(images):
        raise CacheNotDescribed("volume")

    with pytest.raises(PrecacheError, match="driver volume cannot describe its cache"):
        joined(world, cannot).describe_cache("cmp-1", "cell1", SIZES, WITHIN)


def test_a_host_without_a_compute_cannot_describe_its_cache_and_is_named(world):
    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        world.gateway().describe_cache("cmp-1", "cell1", SIZES, WITHIN)


def test_a_compute_that_is_being_stopped_does_not_describe_its_cache(world):
    def stopping(images):
        raise Stopped("The compute")

    with pytest.raises(Stopped):
        joined(world, stopping).describe_cache("cmp-1", "cell1", SIZES, WITHIN)


CLEANED = CleanResult(
    policy="lru",
    removed=(CleanedEntry("1" * 40, IMAGE, 4096, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "unused for 26 h"),),
    kept=(CleanedEntry("2" * 40, None, 0, None, "in use by 3 disks: /a, /b, /c"),),
)


@pytest.mark.parametrize("result", [CLEANED, CleanResult(refused="nova-compute owns this cache")])
@pytest.mark.parametrize("request_", [CleanRequest(True, False, 7), CleanRequest(everything=True), CleanRequest()])
def test_a_host_is_given_the_request_to_clean_and_its_answer_comes_back(world, request_, result):
    received = []

    def clean(request):
        received.append(request)
        return result

    world.join("cmp-1", PlayedHost(lambda request: [], clean_cache=clean))

    assert world.gateway().clean_cache("cmp-1", "cell1", request_, WITHIN) == result
    assert received == [request_]


def test_a_host_without_a_compute_cannot_clean_its_cache_and_is_named(world):
    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        world.gateway().clean_cache("cmp-1", "cell1", CleanRequest(), WITHIN)


def test_a_host_gets_its_new_assignment_and_one_for_an_absent_host_is_lost(world):
    received = []
    assignment = Assignment(
        relay="relay-1", host="cmp-1", version=7, source=Source.HOST, parent=Peer("cmp-2", "192.0.2.8:8785")
    )
    world.join("cmp-1", PlayedHost(lambda request: [], change_relay=received.append))
    gateway = world.gateway()

    gateway.change_relay("cmp-9", "cell1", replace(assignment, host="cmp-9"))
    gateway.change_relay("cmp-1", "cell1", assignment)

    wait_until(lambda: received == [assignment])
