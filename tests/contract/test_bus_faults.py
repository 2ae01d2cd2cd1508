"""Hosts over a real bus when computes die and brokers go: every call ends, in the one true way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from precache.core.errors import ComputeUnreachable, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskPaused
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest
from tests.contract.buses import BusWorld
from tests.contract.played_compute import played_compute
from tests.waiting import wait_until

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
PATIENCE_S = 100


def asking(host, job="job"):
    return ImagesRequest(job, host, "cell1", (ImageOrder(IMAGE),))


@pytest.fixture
def world(cell_url):
    made = BusWorld(cell_url)
    yield made
    made.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_a_compute_killed_during_work_fails_within_the_monitor_s_time_and_others_continue(
    world, cell_url, threads, tmp_path
):
    with (
        played_compute(cell_url, "dies", 600, tmp_path) as dies,
        played_compute(cell_url, "lives", 12, tmp_path) as lives,
    ):
        gateway = world.gateway(silence_s=9)
        dying, living = (threads.submit(gateway.process_images, asking(host)) for host in ("dies", "lives"))
        wait_until(lambda: dies.begun and lives.begun)

        dies.kill()
        killed_at = time.monotonic()
        with pytest.raises(ComputeUnreachable, match="dies"):
            dying.result(PATIENCE_S)

        assert time.monotonic() - killed_at < 9 + 2
        assert [result.outcome for result in living.result(PATIENCE_S)] == [Outcome.CACHED]


@pytest.mark.parametrize("silence_s", [10, 60])
def test_a_broker_that_restarts_during_work_loses_nothing(world, cell_url, threads, rabbitmq, tmp_path, silence_s):
    with played_compute(cell_url, "cmp-1", 16, tmp_path) as compute:
        gateway = world.gateway(long_s=300, silence_s=silence_s)
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)

        rabbitmq.restart(after_s=10)

        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CACHED]
        assert compute.begun == ["job"]
        assert "Traceback" not in compute.errors.read_text()


def test_an_outcome_that_was_reached_while_the_broker_was_down_is_asked_for_again(
    world, cell_url, threads, rabbitmq, tmp_path
):
    with played_compute(cell_url, "cmp-1", 3, tmp_path) as compute:
        gateway = world.gateway(long_s=300, silence_s=10)
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)

        rabbitmq.kill()
        time.sleep(4)
        rabbitmq.start()

        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CACHED]
        assert compute.begun == ["job"]


def test_a_compute_that_is_killed_and_started_again_takes_the_work_up(world, cell_url, threads, tmp_path):
    with played_compute(cell_url, "cmp-1", 5, tmp_path) as compute:
        under_way = threads.submit(world.gateway(silence_s=12).process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)

        compute.kill()
        compute.start()

        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CACHED]
        assert compute.begun == ["job", "job"]


def test_a_compute_that_is_stopped_during_work_reports_it_and_ends(world, cell_url, threads, tmp_path):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        under_way = threads.submit(world.gateway().process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)

        assert compute.stop() == 0

        with pytest.raises(Stopped):
            under_way.result(PATIENCE_S)


def test_a_compute_is_stopped_in_time_although_the_broker_is_down(world, cell_url, threads, rabbitmq, tmp_path):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        under_way = threads.submit(world.gateway(silence_s=4, long_s=20).process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)
        rabbitmq.stop()

        assert compute.stop(timeout_s=30) == 0

        rabbitmq.start()
        with pytest.raises(ComputeUnreachable):
            under_way.result(PATIENCE_S)


def test_a_request_without_a_waiting_caller_is_not_done(world, cell_url, tmp_path):
    with played_compute(cell_url, "cmp-1", 0, tmp_path) as compute:
        gateway = world.gateway(silence_s=4)
        gateway.process_images(asking("cmp-1", job="first"))
        compute.kill()
        with pytest.raises(ComputeUnreachable):
            gateway.process_images(asking("cmp-1", job="stale"))

        compute.start()
        gateway.process_images(asking("cmp-1", job="last"))

        assert compute.begun == ["first", "last"]


def test_a_compute_that_starts_before_its_broker_answers_once_it_is_there(world, cell_url, threads, rabbitmq, tmp_path):
    rabbitmq.stop()
    with played_compute(cell_url, "cmp-1", 0, tmp_path) as compute:
        under_way = threads.submit(world.gateway(silence_s=30).process_images, asking("cmp-1"))
        wait_until(lambda: "not available: connection refused" in compute.errors.read_text())
        rabbitmq.start()

        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CACHED]


def test_a_caller_that_waits_for_the_broker_gets_an_error_at_a_stop(world, cell_url, threads, rabbitmq, tmp_path):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        gateway = world.gateway()
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)
        rabbitmq.stop()

        gateway.stop()

        with pytest.raises(Stopped):
            under_way.result(PATIENCE_S)


def test_a_stopped_gateway_calls_no_host(world):
    gateway = world.gateway()
    gateway.stop()

    with pytest.raises(Stopped):
        gateway.process_images(asking("cmp-1"))


def test_work_that_takes_longer_than_long_rpc_timeout_fails(world):
    done = threading.Event()
    world.join("cmp-1", lambda request: done.wait(PATIENCE_S) and [])  # a host that ignores its deadline

    with pytest.raises(ComputeUnreachable, match="long_rpc_timeout"):
        world.gateway(long_s=4).process_images(asking("cmp-1"))

    done.set()


def test_work_that_the_host_holds_back_may_take_longer_than_long_rpc_timeout(world):
    calls = []

    def held_back_for_a_while(request):
        calls.append(request.call)
        with request.deadline.held():
            time.sleep(7)
        return [] if not request.deadline.has_passed else None

    world.join("cmp-1", held_back_for_a_while)

    assert world.gateway(long_s=4, silence_s=4).process_images(asking("cmp-1")) == []
    assert len(calls) == 1


def test_a_cancel_reaches_a_host_at_work_and_ends_its_request(world, cell_url, threads, tmp_path):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        gateway = world.gateway()
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)

        gateway.cancel("job", "cmp-1", "cell1")

        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CANCELLED]
        assert [result.outcome for result in gateway.process_images(asking("cmp-1"))] == [Outcome.CANCELLED]
        assert compute.begun == ["job"]


def test_a_cancel_is_confirmed_although_every_place_for_requests_is_taken(world, threads):
    cancelled, begun = threading.Event(), []

    def process_images(request):
        begun.append(request.job_id)
        cancelled.wait(PATIENCE_S)
        return []

    world.join("cmp-1", process_images, lambda *call: cancelled.set(), requests_at_once=1)
    gateway = world.gateway(silence_s=60)
    requests = [threads.submit(gateway.process_images, asking("cmp-1", f"job-{number}")) for number in range(3)]
    wait_until(lambda: begun)

    gateway.cancel(begun[0], "cmp-1", "cell1")

    assert [list(request.result(PATIENCE_S)) for request in requests] == [[], [], []]


@pytest.mark.parametrize(
    ("stop", "result"),
    [
        (lambda gateway: gateway.cancel("job", "cmp-1", "cell1"), Outcome.CANCELLED),
        (lambda gateway: gateway.pause("job", "cmp-1", "cell1"), TaskPaused(IMAGE)),
    ],
)
def test_a_host_that_was_down_at_the_stop_does_not_begin_again_when_it_is_back(
    world, cell_url, threads, tmp_path, stop, result
):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        gateway = world.gateway(silence_s=15)
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)
        compute.kill()
        with pytest.raises(ComputeUnreachable):
            stop(gateway)

        compute.start()

        (answer,) = under_way.result(PATIENCE_S)
        assert result in (answer, getattr(answer, "outcome", None))
        assert compute.begun == ["job"]


def test_a_cancel_over_a_broker_that_is_down_fails_soon_and_works_when_it_is_up(
    world, cell_url, threads, rabbitmq, tmp_path
):
    with played_compute(cell_url, "cmp-1", 600, tmp_path) as compute:
        gateway = world.gateway(long_s=300, silence_s=60)
        under_way = threads.submit(gateway.process_images, asking("cmp-1"))
        wait_until(lambda: compute.begun)
        rabbitmq.stop()

        began = time.monotonic()
        with pytest.raises(ComputeUnreachable, match="is not available"):
            gateway.cancel("job", "cmp-1", "cell1")
        assert time.monotonic() - began < 30

        rabbitmq.start()
        wait_until(lambda: _is_confirmed(gateway, "job"), PATIENCE_S)
        assert [result.outcome for result in under_way.result(PATIENCE_S)] == [Outcome.CANCELLED]


def _is_confirmed(gateway, job_id):
    try:
        gateway.cancel(job_id, "cmp-1", "cell1")
    except ComputeUnreachable:
        return False
    return True
