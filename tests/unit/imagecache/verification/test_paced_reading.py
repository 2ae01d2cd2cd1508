"""The pace of a read: the rate is kept, and whatever happens the watcher is called often enough to stop it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import Stopped
from precache.core.jobs import Phase
from precache.imagecache.verification.paced_reading import PacedReading

MIB = 1 << 20


class Watch:
    """The port `Watcher`: notes when it was called, and stops the read at a time."""

    def __init__(self, clock: MemoryClock, stop_after: timedelta = timedelta(days=1)) -> None:
        self.clock = clock
        self.stop_at = clock.now() + stop_after
        self.calls = [clock.now()]

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.calls.append(self.clock.now())
        if self.clock.now() >= self.stop_at:
            raise Stopped("The read")

    @property
    def longest_gap(self) -> timedelta:
        return max(after - before for before, after in zip(self.calls, self.calls[1:], strict=False))


def test_the_rate_is_kept_and_what_slept_is_noted(clock: MemoryClock) -> None:
    began, watch, waits = clock.now(), Watch(clock), list[float]()
    follow = PacedReading(clock=clock, watch=watch, rate_now=lambda: MIB, note_wait=waits.append).of(60 * MIB)

    for done in range(1, 61):
        follow(done * MIB, done * MIB)

    took = (clock.now() - began).total_seconds()
    assert 59 <= took <= 61
    assert sum(waits) == pytest.approx(took)
    assert watch.longest_gap <= timedelta(seconds=0.1)


def test_a_hole_costs_no_time(clock: MemoryClock) -> None:
    began = clock.now()
    follow = PacedReading(clock=clock, watch=Watch(clock), rate_now=lambda: MIB).of(10_000 * MIB)

    follow(10_000 * MIB, 0)

    assert clock.now() == began


@pytest.mark.parametrize("rate", [1, 1000])
def test_a_slow_read_is_stopped_within_a_moment(clock: MemoryClock, rate: int) -> None:
    began = clock.now()
    watch = Watch(clock, stop_after=timedelta(seconds=1))
    follow = PacedReading(clock=clock, watch=watch, rate_now=lambda: rate).of(10 * MIB)

    with pytest.raises(Stopped):
        follow(MIB, MIB)

    assert clock.now() - began < timedelta(seconds=1.2)


def test_a_limit_that_is_lifted_ends_the_sleep(clock: MemoryClock) -> None:
    began, rates = clock.now(), [1000]

    def watch(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        if clock.now() - began > timedelta(seconds=1):
            rates[0] = 10**12

    PacedReading(clock=clock, watch=watch, rate_now=lambda: rates[0]).of(10 * MIB)(MIB, MIB)

    assert clock.now() - began < timedelta(seconds=2)


def test_a_read_stands_still_at_a_rate_of_zero_and_then_goes_on(clock: MemoryClock) -> None:
    began, watch = clock.now(), Watch(clock)

    def rate_now() -> int:
        return 0 if clock.now() - began < timedelta(hours=1) else MIB

    follow = PacedReading(clock=clock, watch=watch, rate_now=rate_now).of(11 * MIB)
    for done in range(1, 12):
        follow(done * MIB, done * MIB)

    assert timedelta(hours=1, seconds=8) < clock.now() - began < timedelta(hours=1, seconds=12)
    assert watch.longest_gap <= timedelta(seconds=0.1)


def test_without_a_limit_the_watcher_is_called_ten_times_a_second_at_most(clock: MemoryClock) -> None:
    watch = Watch(clock)
    follow = PacedReading(clock=clock, watch=watch).of(2000 * MIB)

    for done in range(1, 2001):
        clock.advance(timedelta(milliseconds=1))
        follow(done * MIB, done * MIB)

    assert 18 <= len(watch.calls) <= 24
