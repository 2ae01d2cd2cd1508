"""Callers that come at the same time share one call."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from precache.background.single_flight import SingleFlight
from tests.waiting import wait_until

PATIENCE_S = 20


class Slow:
    """Returns how often it was called, once it may."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self):
        self.calls += 1
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return self.calls


def test_callers_that_come_during_a_call_share_its_result():
    slow = Slow()
    flight = SingleFlight(slow, name="test")
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(flight, PATIENCE_S) for _ in range(3)]
        assert slow.has_begun.wait(PATIENCE_S)
        wait_until(lambda: all(answer.running() for answer in answers))
        slow.may_end.set()

        results = {answer.result() for answer in answers}

    assert results <= {1, 2}  # a caller that was held up on its way comes too late for the first


def test_a_call_that_takes_long_holds_one_thread_however_often_it_is_asked_for():
    slow = Slow()
    flight = SingleFlight(slow, name="the only flight")

    for _ in range(3):
        with pytest.raises(TimeoutError):
            flight(0)

    assert slow.calls == 1
    assert len([thread for thread in threading.enumerate() if thread.name == "the only flight"]) == 1
    slow.may_end.set()
    flight.join(PATIENCE_S)


def test_all_callers_get_the_failure_and_the_next_call_is_a_new_one():
    slow = Slow(error=ValueError("first"))
    flight = SingleFlight(slow, name="test")
    slow.may_end.set()

    with pytest.raises(ValueError, match="first"):
        flight(PATIENCE_S)
    slow.error = None

    assert flight(PATIENCE_S) == 2
