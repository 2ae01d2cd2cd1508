"""Work that outlasts its call: when the caller is told so, and how it gets the results."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from precache.adapters.bus_oslo.long_calls import HeldBack, LongCalls
from precache.background.deadline import Deadline
from precache.core.errors import Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import CallNumber, ImagesRequest

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
RESULTS = [TaskResult(IMAGE, Outcome.CACHED)]
PATIENCE_S = 10


class Host:
    """Works until the test lets it end; keeps the requests."""

    def __init__(self, error=None):
        self.requests, self.may_end, self._error = [], threading.Event(), error

    def __call__(self, request):
        self.requests.append(request)
        assert self.may_end.wait(PATIENCE_S)
        if self._error is not None:
            raise self._error
        return RESULTS


def asking(call_s=0.0, deadline_s=60.0, **changes):
    """Return a request whose call ends after `call_s`, and whose work may take `deadline_s`."""
    deadline, ends = (Deadline(timedelta(seconds=seconds)) for seconds in (deadline_s, call_s))
    facts = {"deadline": deadline, "call_ends": ends, "call": CallNumber("conductor", 1)} | changes
    return ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),), **facts)


def test_near_the_end_of_its_call_the_caller_is_told_how_long_postponed_work_may_take():
    host = Host()
    calls = LongCalls(host)

    with pytest.raises(HeldBack) as held:
        calls.results_of(asking())

    assert held.value.left_s == pytest.approx(60, abs=5)
    host.may_end.set()


def test_a_call_that_is_made_again_joins_the_work_and_gives_it_its_time():
    host = Host()
    calls = LongCalls(host)
    with pytest.raises(HeldBack):
        calls.results_of(asking(deadline_s=30))

    with pytest.raises(HeldBack) as held:
        calls.results_of(asking(deadline_s=90))
    with ThreadPoolExecutor(1) as threads:
        third = threads.submit(calls.results_of, asking(call_s=60))
        host.may_end.set()
        assert third.result(PATIENCE_S) == RESULTS

    assert held.value.left_s > 60
    assert len(host.requests) == 1


def test_work_that_is_not_postponed_is_waited_for():
    host = Host()
    timer = threading.Timer(0.3, host.may_end.set)
    timer.start()

    assert LongCalls(host).results_of(asking(call_s=0.1, deadline_s=0.1)) == RESULTS


def test_what_the_work_raises_is_raised_to_the_caller():
    host = Host(Stopped("Caching"))
    host.may_end.set()

    with pytest.raises(Stopped):
        LongCalls(host).results_of(asking(call_s=60))


@pytest.mark.parametrize(
    "changes", [{"is_paused": True}, {"is_cancelled": True}, {"call": CallNumber("conductor", 2)}, {"call": None}]
)
def test_another_call_or_one_that_is_to_stop_the_work_reaches_the_host(changes):
    host = Host()
    calls = LongCalls(host)
    with pytest.raises(HeldBack):
        calls.results_of(asking())

    with pytest.raises(HeldBack):
        calls.results_of(asking(**changes))

    assert len(host.requests) == 2
    host.may_end.set()


def test_without_an_end_of_the_call_the_work_has_no_thread_of_its_own():
    threads = []

    def host(request):
        threads.append(threading.current_thread())
        return RESULTS

    LongCalls(host).results_of(asking(call_ends=None))

    assert threads == [threading.current_thread()]
