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
