"""A download that is limited to a rate."""

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.orders import OrderOptions
from precache.fetch.limited_stream import LimitedStream
from precache.fetch.rate_limits import RateLimit
from tests.unit.fetch.world import World


@pytest.mark.parametrize("rate", [1000, 5])
def test_a_limited_download_takes_as_long_as_its_rate_says(tmp_path, rate):
    world, data = World(tmp_path / "cache"), bytes(range(100)) * 2
    began = world.clock.now()

    path = world.fetch(data, "raw", options=OrderOptions(rate_limit_bytes_per_s=rate))

    assert path.read_bytes() == data
    assert (world.clock.now() - began).total_seconds() == pytest.approx(len(data) / rate)


class Source:
    """A stream that is as fast as its reader."""

    def readinto(self, buffer):
        return len(buffer)

    def close(self): ...


class ChangingClock(MemoryClock):
    """Calls `change` during the first sleep after the given time."""

    def __init__(self, at, change):
        super().__init__()
        self.began, self._at, self._change = self.now(), at, change

    def sleep(self, duration):
        super().sleep(duration)
        if self.elapsed_s >= self._at:
            self._change()

    @property
    def elapsed_s(self):
        return (self.now() - self.began).total_seconds()


@pytest.mark.parametrize(
    ("first", "then", "count", "seconds"),
    [
        (100, 1000, 1100, 2),
        (1000, 100, 1100, 2),
        (100, None, 10**9, 1),
        # One read takes ten seconds: the change does not wait for its end.
        (1, 1000, 1000, 2),
    ],
)
def test_another_limit_applies_at_once(first, then, count, seconds):
    limits, waits = [first], []
    clock = ChangingClock(1, lambda: limits.__setitem__(0, then))
    stream = LimitedStream(Source(), limit=RateLimit(lambda: limits[0], waits.append), clock=clock)
    buffer = memoryview(bytearray(1000))

    left = count
    while left > 0:
        left -= stream.readinto(buffer[: min(left, len(buffer))])

    assert clock.elapsed_s == sum(waits) == pytest.approx(seconds, abs=0.6)


def test_a_limit_may_begin_while_the_download_runs(tmp_path):
    limits = [None]
    clock = ChangingClock(timedelta.max.total_seconds(), lambda: None)
    stream = LimitedStream(Source(), limit=RateLimit(lambda: limits[0]), clock=clock)
    buffer = memoryview(bytearray(1000))
    for _ in range(10**4):
        stream.readinto(buffer)
    freely_s = clock.elapsed_s
    limits[0] = 10

    taken = sum(stream.readinto(buffer) for _ in range(50))

    assert (freely_s, taken) == (0, 50)
    assert clock.elapsed_s == pytest.approx(5, abs=0.6)
