"""Which job calls its next host when a turn is free: by priority, then by fair shares, within the limits of the job."""

from __future__ import annotations

import threading

import pytest

from precache.background.cancel_token import CancelToken
from precache.background.daemon_pool import DaemonPool
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.host_dispatcher import HostDispatcher
from precache.core.hosts import Host
from precache.core.jobs import Claim
from tests.waiting import wait_until


class Calls:
    """Jobs whose calls last until a test ends them."""

    def __init__(self, *, concurrency: int, swarm_concurrency: int = 0, pool: DaemonPool | None = None) -> None:
        self.pool = pool or DaemonPool(concurrency + swarm_concurrency)
        self.begun: list[str] = []
        self.idle: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._scheduler = CallScheduler(pool=self.pool, concurrency=concurrency, swarm_concurrency=swarm_concurrency)

    def job(self, name: str, count: int, *, by_swarm: int = 0, **options) -> HostDispatcher:
        """Start a job of so many hosts. by_swarm: how many of them, the first ones, get their images so."""

        dispatcher = HostDispatcher(
            claim=Claim(name, "one", 1),
            stop=CancelToken(),
            ask=self._ask,
            on_idle=lambda: self.idle.append(name),
            scheduler=self._scheduler,
        )
        hosts = hosts_of(name, count)
        dispatcher.add({"cell1": hosts}, [host.name for host in hosts[:by_swarm]])
        dispatcher.change(**({"priority": 50, "parallelism": None, "parallelism_per_site": None} | options))
        dispatcher.resume()
        return dispatcher

    def begins(self, *hosts: str) -> None:
        """Wait until exactly these calls have begun since the last one."""
        wait_until(lambda: len(self.begun) >= len(hosts))
        assert sorted(self.begun) == sorted(hosts)
        self.begun.clear()

    def end(self, *hosts: str) -> None:
        for host in hosts:
            self._ends[host].set()

    def end_all(self) -> None:
        for end in list(self._ends.values()):
            end.set()

    def _ask(self, host: Host) -> None:
        end = self._ends[host.name] = threading.Event()
        self.begun.append(host.name)
        assert end.wait(10)


def hosts_of(job: str, count: int, site: str = "") -> list[Host]:
    return [Host(f"{job}{site}{number}", "cell1", announced_site=site) for number in range(count)]


@pytest.fixture
def calls():
    """Two turns."""
    two = Calls(concurrency=2)
    yield two
    two.end_all()


def test_a_later_job_with_a_higher_priority_waits_for_one_call_only(calls):
    calls.job("bulk", 10_000)
    calls.begins("bulk0", "bulk1")

    calls.job("urgent", 3, priority=60)
    calls.end("bulk0", "bulk1")

    calls.begins("urgent0", "urgent1")
    calls.end("urgent0")
    calls.begins("urgent2")
    calls.end("urgent1")
    calls.begins("bulk2")


def test_jobs_of_one_priority_have_equal_shares_whatever_their_size():
    calls = Calls(concurrency=4)
    calls.job("a", 1000)
    calls.begins("a0", "a1", "a2", "a3")

    calls.job("b", 10)
    calls.end("a0", "a1", "a2")

    calls.begins("b0", "b1", "a4")  # two calls each; then it is the turn of the one that waited for longer
    calls.end("b0")
    calls.begins("b2")
    calls.end_all()


def test_a_job_that_has_its_most_calls_leaves_the_turns_to_a_lower_priority(calls):
    urgent = calls.job("urgent", 3, priority=60, parallelism=1)
    calls.job("bulk", 3)
    calls.begins("urgent0", "bulk0")

    urgent.change(priority=60, parallelism=2, parallelism_per_site=None)
    calls.end("bulk0")

    calls.begins("urgent1")


def test_a_job_calls_only_so_many_hosts_of_a_site(calls):
    job = calls.job("a", 0, parallelism_per_site=1)
    job.add({"cell1": hosts_of("a", 2, "north") + hosts_of("a", 2, "south")})
    calls.begins("anorth0", "asouth0")

    calls.end("asouth0")

    calls.begins("asouth1")


def test_more_calls_begin_as_soon_as_the_limit_of_a_job_is_raised(calls):
    job = calls.job("a", 3, parallelism=1)
    calls.begins("a0")

    job.change(priority=50, parallelism=None, parallelism_per_site=None)

    calls.begins("a1")


def test_hosts_that_are_added_to_an_idle_job_are_called(calls):
    job = calls.job("a", 1)
    calls.begins("a0")
    calls.end("a0")
    wait_until(lambda: calls.idle == ["a"])
    assert job.is_idle

    job.add({"cell1": hosts_of("late", 1)})

    assert not job.is_idle
    calls.begins("late0")


def test_a_paused_job_begins_no_call_and_gives_its_turns_to_others(calls):
    paused = calls.job("paused", 5)
    calls.begins("paused0", "paused1")
    paused.pause()
    calls.job("other", 5)

    calls.end("paused0")

    calls.begins("other0")
    assert (paused.is_idle, paused.hosts_left, set(paused.in_progress())) == (False, 3, {"paused1"})
    calls.end("paused1")
    calls.begins("other1")
    wait_until(lambda: calls.idle == ["paused"])
    assert paused.is_idle


def test_hosts_are_called_later_if_no_thread_can_be_started():
    can_start = threading.Event()

    def start(run, name):
        if not can_start.is_set():
            raise RuntimeError("can't start new thread")
        threading.Thread(target=run, name=name, daemon=True).start()

    calls = Calls(concurrency=2, pool=DaemonPool(2, start=start))
    job = calls.job("a", 3)
    assert (job.in_progress(), job.hosts_left) == ({}, 3)

    can_start.set()
    job.resume()

    calls.begins("a0", "a1")
    calls.end_all()


@pytest.fixture
def swarm_calls():
    """One usual turn, and three for hosts by swarm."""
    made = Calls(concurrency=1, swarm_concurrency=3)
    yield made
    made.end_all()


def test_hosts_by_swarm_are_called_beside_the_usual_turn_and_only_up_to_their_own_number(swarm_calls):
    swarm_calls.job("a", 6, by_swarm=4)
    swarm_calls.begins("a0", "a1", "a2", "a4")

    swarm_calls.end("a0")
    swarm_calls.begins("a3")
    swarm_calls.end("a4")
    swarm_calls.begins("a5")
    swarm_calls.end("a1", "a2", "a3")

    assert swarm_calls.idle == []
    swarm_calls.end("a5")
    wait_until(lambda: swarm_calls.idle == ["a"])


def test_the_limits_of_a_job_count_its_hosts_of_both_kinds_together(swarm_calls):
    job = swarm_calls.job("a", 6, by_swarm=4, parallelism=2)
    swarm_calls.begins("a4", "a0")

    job.change(priority=50, parallelism=None, parallelism_per_site=3)
    swarm_calls.begins("a1")

    job.change(priority=50, parallelism=1, parallelism_per_site=None)
    assert len(job.excess()) == 2
    swarm_calls.end("a0", "a1")
    wait_until(lambda: list(job.in_progress()) == ["a4"])
    swarm_calls.end("a4")
    swarm_calls.begins("a5")


def test_hosts_by_swarm_of_two_jobs_share_their_turns_by_priority(swarm_calls):
    swarm_calls.job("bulk", 9, by_swarm=9)
    swarm_calls.begins("bulk0", "bulk1", "bulk2")
    swarm_calls.job("urgent", 2, by_swarm=2, priority=60)

    swarm_calls.end("bulk0", "bulk1", "bulk2")

    swarm_calls.begins("urgent0", "urgent1", "bulk3")
