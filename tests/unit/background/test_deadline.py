"""When work must be done, and until when that is postponed."""

import math
from datetime import timedelta

import pytest

from precache.background.deadline import Deadline


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_it_passes_when_the_time_allowed_is_over():
    clock = Seconds()
    deadline = Deadline(timedelta(seconds=10), clock)

    clock.now_s += 9
    before = deadline.has_passed
    clock.now_s += 1

    assert not before
    assert deadline.has_passed
    assert deadline.left_s == 0


def test_without_a_limit_it_never_passes():
    clock = Seconds()
    deadline = Deadline(None, clock)

    clock.now_s += 10**9

    assert not deadline.has_passed
    assert deadline.left_s == math.inf


@pytest.mark.parametrize(("one", "other", "left_s"), [(10, 20, 20), (20, 10, 20), (10, None, math.inf)])
def test_the_later_of_two_counts(one, other, left_s):
    clock = Seconds()
    deadline = Deadline(timedelta(seconds=one), clock)

    deadline.postpone_to(Deadline(None if other is None else timedelta(seconds=other), clock))

    assert deadline.left_s == left_s


@pytest.mark.parametrize(("is_fixed", "left_s"), [(False, 10), (True, 3)])
def test_time_in_which_the_work_is_held_back_does_not_count_unless_it_is_fixed(is_fixed, left_s):
    clock = Seconds()
    deadline = Deadline(timedelta(seconds=10), clock, is_fixed=is_fixed)

    with deadline.held(), deadline.held():
        clock.now_s += 3
        during = deadline.left_s
    clock.now_s += 4
    deadline.postpone_by(4)

    assert deadline.left_s == left_s
    assert during == (7 if is_fixed else 10)


def test_a_deadline_that_is_held_can_be_postponed_to_another():
    clock = Seconds()
    deadline, other = Deadline(timedelta(seconds=10), clock), Deadline(timedelta(seconds=20), clock)

    with deadline.held():
        clock.now_s += 5
        deadline.postpone_to(other)
        other.postpone_to(deadline)
        clock.now_s += 5

    assert (deadline.left_s, other.left_s) == (15, 10)
