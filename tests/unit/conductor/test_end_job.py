"""How a job's end is stored and announced, and what the store is asked for in a job's life."""

from __future__ import annotations

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.background.cancel_token import CancelToken
from precache.conductor.announce import END
from precache.core.errors import LeaseLost, Stopped, StoreUnavailable
from precache.core.jobs import JobState, Outcome
from precache.core.stopping import StopReason
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import LEASE, Cloud, answers


class Counted(MemoryJobs):
    """Keeps the names of the conductor's calls."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name in ("get", "tasks", "list_tasks", "remaining", "check", "record", "finish", "release"):
            self.calls.append(name)
        return super().__getattribute__(name)


def test_the_store_is_read_only_for_remaining_tasks_and_written_once_for_each_change():
    jobs = Counted()
    cloud = Cloud({"a": answers(Outcome.CACHED)}, jobs=jobs)

    cloud.run()

    assert [call for call in jobs.calls if call != "record"] == ["remaining", "finish"]
    assert 1 <= jobs.calls.count("record") <= 2


def test_the_end_is_announced_before_it_is_stored():
    class Watched(MemoryJobs):
        announced_before = None

        def finish(self, claim, state, reason=""):
            if self.announced_before is None:
                self.announced_before = cloud.events()
                raise StoreUnavailable("gone")  # a conductor that dies here leaves the end to another
            return super().finish(claim, state, reason)

    jobs = Watched()
    cloud = Cloud({"a": answers(Outcome.CACHED)}, jobs=jobs)

    cloud.run()

    assert jobs.announced_before[-1] == END
    assert cloud.jobs.get("job").state is JobState.SUCCEEDED
    assert cloud.events().count(END) == 1


@pytest.mark.parametrize("hosts", [{}, {"a": answers(Outcome.CACHED)}], ids=["nothing to record", "one host"])
def test_a_conductor_that_lost_its_lease_meanwhile_announces_no_end(hosts):
    class TakesOver(MemoryInventory):
        def find_hosts(self, names):
            clock.advance(LEASE)
            assert cloud.jobs.claim("heir", LEASE) is not None
            return super().find_hosts(names)

    clock = MemoryClock()
    cloud = Cloud(hosts, inventory=TakesOver(clock=clock), clock=clock)
    job = cloud.jobs.claim("slow", LEASE)

    with pytest.raises(LeaseLost):
        cloud.run_claimed(job, CancelToken())

    assert END not in cloud.events()
    assert cloud.jobs.get("job").lease_owner == "heir"


def test_what_an_earlier_conductor_recorded_counts_for_the_verdict():
    cloud = Cloud({"a": answers(Outcome.ERROR), "b": answers(Outcome.CACHED)}, concurrency=1)
    stop = CancelToken()
    interrupted = cloud.jobs.claim("first", LEASE)
    cloud.gateway.join("b", PlayedHost(lambda request: interrupt(stop)))
    cloud.run_claimed(interrupted, stop)
    assert cloud.outcomes() == {"a": [Outcome.ERROR], "b": [None]}

    cloud.gateway.join("b", PlayedHost(answers(Outcome.CACHED)))
    cloud.run(owner="second")

    assert cloud.jobs.get("job").state is JobState.PARTLY_FAILED
    assert cloud.jobs.get("job").counts == {Outcome.ERROR: 1, Outcome.CACHED: 1}


def interrupt(stop):
    stop.cancel(StopReason.SHUTDOWN)
    raise Stopped("Caching")
