"""Two conductors on one store share the jobs: each is done once, ends once, and outlives the conductor that had it."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.notifier_memory import MemoryNotifier
from precache.background.daemon_pool import DaemonPool
from precache.conductor.announce import END, Announcer
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.work_loop import WorkLoop
from precache.core.hosts import Heartbeat
from precache.core.jobs import JobState, Outcome, TaskResult
from precache.wiring.run_job import build_run_job
from tests.contract.job_values import DEBIAN, LEASE, NOW, asked, claim, ended, job_id, new_job
from tests.played_host import PlayedHost
from tests.waiting import wait_until

HOSTS = [f"cmp-{number}" for number in range(6)]
PATIENCE = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)


class Conductors:
    """Two of them, and hosts that count how often each job asked them."""

    def __init__(self, stores) -> None:
        self.stores = stores
        self.notifier = MemoryNotifier()
        self.requests: list[tuple[str, str]] = []
        self.gateway = InProcessComputes()
        self.clock = SystemClock()
        for host in HOSTS:
            self.gateway.join(host, PlayedHost(self._answer))
        stores.host_reports.store_heartbeats([Heartbeat(host, "cell1", "fake", self.clock.now()) for host in HOSTS])
        self._pools = [DaemonPool(3) for _ in range(2)]
        self._loops = [self._loop(f"conductor-{number}", pool) for number, pool in enumerate(self._pools)]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        for loop in self._loops:
            loop.stop(PATIENCE)
        for pool in self._pools:
            pool.shutdown()

    def ended_jobs(self) -> list[str]:
        jobs = self.stores.queries.list_jobs()
        return sorted(job.id for job in jobs if job.state.is_final)

    def _answer(self, request):
        self.requests.append((request.job_id, request.host))
        return [TaskResult(image, Outcome.CACHED, 1) for image in request.images]

    def _loop(self, owner: str, pool: DaemonPool) -> WorkLoop:
        stores = self.stores
        run_job = build_run_job(
            claims=stores.claims, queries=stores.queries, hosts=stores.hosts, gateway=self.gateway,
            announcer=Announcer(notifier=self.notifier, origin=owner), clock=self.clock,
            scheduler=CallScheduler(pool=pool, concurrency=3), messages=DaemonPool(3), service_down_time=MINUTE,
            write_interval=timedelta(milliseconds=20),
        )  # fmt: skip
        return WorkLoop(
            claims=stores.claims, leases=stores.leases, run_job=run_job, owner=owner, lease=LEASE,
            poll_interval=timedelta(milliseconds=50), jobs_at_once=3,
        )  # fmt: skip


@pytest.fixture
def conductors(stores):
    both = Conductors(stores)
    yield both
    both.stop()


def test_jobs_are_shared_and_no_host_is_asked_twice(stores, conductors):
    numbers = range(1, 11)
    for number in numbers:
        stores.intake.add(new_job(number, hosts=HOSTS, images=[DEBIAN]))

    conductors.start()

    wait_until(lambda: conductors.ended_jobs() == [job_id(number) for number in numbers])
    assert Counter(conductors.requests) == {(job_id(number), host): 1 for number in numbers for host in HOSTS}
    for number in numbers:
        assert stores.queries.get(job_id(number)).counts == {Outcome.CACHED: len(HOSTS)}
        assert {task.attempts for task in stores.queries.list_tasks(job_id(number))} == {1}
    wait_until(lambda: ends(conductors) == len(numbers))


def test_a_job_of_a_dead_conductor_is_finished_once_and_keeps_what_had_ended(stores, conductors):
    stores.intake.add(new_job(1, hosts=HOSTS, images=[DEBIAN]))
    claim(stores, "dead")
    ended(stores, "cmp-0", TaskResult(DEBIAN, Outcome.EXISTING), owner="dead")
    asked(stores, "cmp-1", DEBIAN, owner="dead")
    stores.clock.set(NOW + LEASE)

    conductors.start()

    wait_until(lambda: conductors.ended_jobs() == [job_id(1)])
    tasks = {task.host: task for task in stores.queries.list_tasks(job_id(1))}
    assert tasks["cmp-0"].outcome is Outcome.EXISTING
    assert {host: task.attempts for host, task in tasks.items()} == dict.fromkeys(HOSTS, 1) | {"cmp-0": 0, "cmp-1": 2}
    assert sorted(host for _, host in conductors.requests) == HOSTS[1:]
    wait_until(lambda: ends(conductors) == 1)


def test_a_job_that_is_cancelled_while_a_conductor_has_it_ends_there_and_another_goes_on(stores, conductors):
    is_cancelled = threading.Event()

    def works_until_cancelled(request):
        conductors.requests.append((request.job_id, request.host))
        assert is_cancelled.wait(PATIENCE.total_seconds())
        return [TaskResult(image, Outcome.CANCELLED, 1) for image in request.images]

    def cancel(job, retry_count):
        assert job == job_id(1)
        is_cancelled.set()

    for host in HOSTS[:3]:
        conductors.gateway.join(host, PlayedHost(works_until_cancelled, cancel))
    stores.intake.add(new_job(1, hosts=HOSTS, images=[DEBIAN]))
    conductors.start()
    wait_until(lambda: len(conductors.requests) == 3)
    stores.intake.add(new_job(2, hosts=HOSTS[3:], images=[DEBIAN]))

    stores.steering.cancel(job_id(1))

    wait_until(lambda: conductors.ended_jobs() == [job_id(1), job_id(2)])
    assert stores.queries.get(job_id(1)).state is JobState.CANCELLED
    assert stores.queries.get(job_id(1)).counts == {Outcome.CANCELLED: len(HOSTS)}
    assert stores.queries.get(job_id(2)).counts == {Outcome.CACHED: 3}
    assert sorted(host for job, host in conductors.requests if job == job_id(1)) == HOSTS[:3]
    wait_until(lambda: ends(conductors) == 2)


def ends(conductors) -> int:
    return [notification.event_type for notification in conductors.notifier.sent].count(END)
