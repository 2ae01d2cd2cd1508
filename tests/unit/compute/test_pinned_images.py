"""When the pinned images of a host are touched early, and when those that are gone are fetched again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.compute.pinned_images import TOLERANCE, PinnedImages
from precache.core.images import parse_image_id

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
HOUR = timedelta(hours=1)


class JumpingClock(MemoryClock):
    def __init__(self) -> None:
        super().__init__()
        self.jumped = timedelta()

    def now(self):
        return super().now() + self.jumped


class World:
    """A driver from whose cache an image is gone, what was to be restored after each pass, and the clocks."""

    name = "played"

    def __init__(self) -> None:
        self.restored, self.clock, self.uptime = [], JumpingClock(), MemoryClock()
        self.pinned = PinnedImages(
            host="cmp-1",
            driver=self,
            clock=self.clock,
            interval=timedelta(minutes=10),
            restoring=self,
            monotonic=lambda: self.uptime.now().timestamp(),
        )
        self.wakes = []
        self.pinned.task.wake = lambda: self.wakes.append(self.clock.jumped)

    def touch_pinned(self):
        return [IMAGE]

    def set_missing(self, images):
        self.restored.append(images)

    def wait(self, duration):
        for clock in (self.clock, self.uptime):
            clock.advance(duration)
        self.pinned.check_clock()


def test_what_is_gone_at_the_first_pass_is_restored_at_the_second_because_a_disk_may_not_be_mounted():
    world = World()

    world.pinned.touch()
    after_first = list(world.restored)
    world.pinned.touch()

    assert after_first == []
    assert world.restored == [[IMAGE]]


@pytest.mark.parametrize("jump", [timedelta(days=365), -timedelta(days=365), TOLERANCE, -TOLERANCE])
def test_a_clock_that_jumps_and_is_set_right_again_wakes_the_pass_both_times(jump, caplog):
    world = World()
    world.wait(HOUR)

    world.clock.jumped = jump
    world.wait(timedelta(seconds=10))
    world.wait(HOUR)
    world.clock.jumped = timedelta()
    world.wait(timedelta(seconds=10))

    assert world.wakes == [jump, timedelta()]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


def test_small_corrections_of_the_clock_wake_nothing():
    world = World()

    for _ in range(100):
        world.clock.jumped += TOLERANCE / 2
        world.wait(timedelta(seconds=10))

    assert world.wakes == []


def test_a_driver_of_an_earlier_release_is_touched_by_its_own_method():
    touches = []

    class Earlier:
        name = "earlier"

        def touch_kept(self):
            touches.append(1)

    pinned = PinnedImages(host="cmp-1", driver=Earlier(), clock=MemoryClock(), interval=HOUR, restoring=None)

    pinned.touch()

    assert touches == [1]
