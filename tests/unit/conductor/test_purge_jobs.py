"""The background purge: what it removes, what it never removes, and when it stops."""

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.notices_memory import MemoryDuties
from precache.background.cancel_token import CancelToken
from precache.conductor.held_duty import HeldDuty
from precache.conductor.purge_jobs import BATCH, PurgeJobs
from precache.core.stopping import StopReason
from tests.contract.job_values import LEASE, job_id, new_job

KEEP = timedelta(days=90)


class World:
    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.jobs = MemoryJobs(clock=self.clock)
        self.duties = MemoryDuties(now=self.clock.now)
        self.stop = CancelToken()
        self.batches: list[int] = []

    def purge(self, before, limit):
        removed = self.jobs.purge(before, limit)
        self.batches.append(removed)
        return removed

    def purger(self, owner="one") -> PurgeJobs:
        duty = HeldDuty(duties=self.duties, name="purge", owner=owner, lease=LEASE)
        return PurgeJobs(duty=duty, purge=self, keep=KEEP, stop=self.stop, pause_s=0)

    def add_ended(self, *numbers: int) -> None:
        for number in numbers:
            self.jobs.add(new_job(number))
            self.jobs.cancel(job_id(number))

    def left(self) -> set[str]:
        return {job.id for job in self.jobs.list_jobs()}


@pytest.fixture
def world():
    return World()


def test_jobs_that_ended_long_ago_are_removed_in_small_batches(world, caplog):
    caplog.set_level("INFO")
    world.add_ended(*range(1, 2 * BATCH + 2))
    world.clock.advance(KEEP - timedelta(seconds=1))
    world.add_ended(1000)
    purge = world.purger()
    purge()
    assert len(world.left()) == 2 * BATCH + 2

    world.clock.advance(timedelta(seconds=1))
    purge()

    assert world.left() == {job_id(1000)}
    assert max(world.batches) == BATCH
    assert f"Removed {2 * BATCH + 1} jobs that ended over 90 days ago" in caplog.text


def test_a_job_that_has_not_ended_is_never_removed(world):
    for number in (1, 2, 3):
        world.jobs.add(new_job(number))
    claimed = world.jobs.claim("me", LEASE)
    world.jobs.pause(next(iter(world.left() - {claimed.id})))
    world.clock.advance(10 * KEEP)

    world.purger()()

    assert len(world.left()) == 3


def test_only_the_conductor_with_the_duty_removes(world):
    world.add_ended(1)
    world.purger()()
    world.clock.advance(KEEP)
    assert world.duties.hold("purge", "other", LEASE)

    world.purger()()

    assert world.left() == {job_id(1)}


def test_a_conductor_that_stops_ends_the_pass(world):
    world.add_ended(*range(1, 2 * BATCH + 1))
    world.clock.advance(KEEP)
    world.stop.cancel(StopReason.SHUTDOWN)

    world.purger()()

    assert len(world.left()) == BATCH
