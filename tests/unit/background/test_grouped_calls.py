"""Callers that come while a call runs share the next one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from precache.background.grouped_calls import GroupedCalls
from tests.waiting import wait_until

PATIENCE_S = 20


class Slow:
    """Doubles numbers, once it may. Refuses those that contain a negative one."""

    def __init__(self):
        self.groups = []
        self.may_end = threading.Semaphore(0)

    def __call__(self, _key, items):
        self.groups.append(list(items))
        assert self.may_end.acquire(timeout=PATIENCE_S)
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]


def waiting(grouped):
    return sum(len(callers) for callers in grouped._waiting.values())


def test_callers_that_come_during_a_call_share_the_next_one_and_each_gets_its_own_result():
    slow = Slow()
    grouped = GroupedCalls(slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(grouped, "key", 1)
        wait_until(lambda: slow.groups)
        others = []
        for number in (2, 3, 4):
            others.append(pool.submit(grouped, "key", number))
            wait_until(lambda: waiting(grouped) == len(others))
        slow.may_end.release(2)

        assert first.result(PATIENCE_S) == 2
        assert [other.result(PATIENCE_S) for other in others] == [4, 6, 8]
    assert slow.groups == [[1], [2, 3, 4]]
    assert grouped._waiting == {}


def test_calls_for_different_keys_do_not_wait_for_each_other():
    slow = Slow()
    grouped = GroupedCalls(slow)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(grouped, key, 1) for key in "ab"]
        wait_until(lambda: len(slow.groups) == 2)
        slow.may_end.release(2)
        assert [answer.result(PATIENCE_S) for answer in answers] == [2, 2]


def test_an_error_reaches_all_whose_call_it_was_and_the_next_call_is_made():
    slow = Slow()
    grouped = GroupedCalls(slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(grouped, "key", -1)
        wait_until(lambda: slow.groups)
        second = pool.submit(grouped, "key", 5)
        wait_until(lambda: waiting(grouped) == 1)
        slow.may_end.release(2)

        with pytest.raises(ValueError, match="negative"):
            first.result(PATIENCE_S)
        assert second.result(PATIENCE_S) == 10
