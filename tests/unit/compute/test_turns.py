"""The order in which a host works on images."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from precache.background.deadline import Deadline
from precache.compute.turns import Turns
from precache.core.images import parse_image_id
from tests.waiting import wait_until

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
OTHER = parse_image_id("00000000-0000-0000-0000-000000000002")
PATIENCE_S = 10
NO_LIMIT = Deadline(None)


class Work:
    """Work that waits behind a turn that the test holds; `done` has their names in the order of their turns."""

    def __init__(self):
        self.turns, self.done, self.most_at_once = Turns(), [], 0
        self._running, self._lock = 0, threading.Lock()
        self._waiting = set()

    def do(self, name, priority, arrival, image=IMAGE):
        with self.turns.turn(
            image, priority=priority, arrival=arrival, deadline=NO_LIMIT, wait=lambda: self._waiting.add(name)
        ):
            with self._lock:
                self._running += 1
                self.most_at_once = max(self.most_at_once, self._running)
            self.done.append(name)
            with self._lock:
                self._running -= 1

    def is_waiting(self, name):
        return name in self._waiting


def never():
    raise AssertionError("nothing is to wait")


def test_the_highest_priority_is_first_and_then_the_request_that_came_first():
    work = Work()
    others = [("late", 50, 4), ("low", 10, 1), ("high", 90, 5), ("early", 50, 3), ("early too", 50, 3)]

    with ThreadPoolExecutor(len(others)) as threads:
        with work.turns.turn(IMAGE, priority=0, arrival=0, deadline=NO_LIMIT, wait=never):
            running = []
            for each in others:
                running.append(threads.submit(work.do, *each))
                wait_until(lambda name=each[0]: work.is_waiting(name))
        for each in running:
            each.result(PATIENCE_S)

    assert work.done == ["high", "early", "early too", "late", "low"]
    assert work.most_at_once == 1


def test_who_waits_can_leave_and_the_next_has_its_turn():
    turns = Turns()

    def leave():
        raise InterruptedError

    with (
        turns.turn(IMAGE, priority=0, arrival=0, deadline=NO_LIMIT, wait=never),
        pytest.raises(InterruptedError),
        turns.turn(IMAGE, priority=0, arrival=1, deadline=NO_LIMIT, wait=leave),
    ):
        pytest.fail("it has left")

    with turns.turn(IMAGE, priority=0, arrival=2, deadline=NO_LIMIT, wait=never):
        assert not turns.is_awaited(IMAGE)


def test_a_failure_gives_the_turn_back():
    turns = Turns()

    with pytest.raises(ZeroDivisionError), turns.turn(IMAGE, priority=0, arrival=0, deadline=NO_LIMIT, wait=never):
        raise ZeroDivisionError

    with turns.turn(IMAGE, priority=0, arrival=1, deadline=NO_LIMIT, wait=never):
        pass


def test_it_is_known_which_images_are_awaited():
    work = Work()

    with ThreadPoolExecutor(1) as threads:
        with work.turns.turn(IMAGE, priority=0, arrival=0, deadline=NO_LIMIT, wait=never):
            assert not work.turns.is_awaited(IMAGE)
            running = threads.submit(work.do, "other", 50, 1, OTHER)
            wait_until(lambda: work.is_waiting("other"))
            assert (work.turns.is_awaited(IMAGE), work.turns.is_awaited(OTHER)) == (False, True)
        running.result(PATIENCE_S)

    assert not work.turns.is_awaited(OTHER)


@pytest.mark.parametrize(("late_s", "is_overdue"), [(-10, False), (59, False), (61, True)])
def test_work_that_has_its_turn_long_after_its_deadline_is_overdue(late_s, is_overdue):
    now_s = [1000.0]
    turns, deadline = Turns(), Deadline(timedelta(seconds=100), lambda: now_s[0])

    with turns.turn(IMAGE, priority=0, arrival=0, deadline=deadline, wait=never):
        now_s[0] += 100 + late_s
        assert turns.is_overdue is is_overdue

    assert not turns.is_overdue
