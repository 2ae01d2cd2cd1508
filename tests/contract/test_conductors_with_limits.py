"""Three conductors run jobs under one limit of hosts, from the claim to the end, also while one of them is stopped."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.notifier_memory import MemoryNotifier
from precache.background.daemon_pool import DaemonPool
from precache.conductor.announce import Announcer
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.permit_keeper import PermitKeeper
from precache.conductor.work_loop import WorkLoop
from precache.core.host_calls import CallLimits
from precache.core.hosts import Heartbeat
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState, Outcome, TaskPaused, TaskResult
from precache.wiring.run_job import build_run_job
from tests.contract.job_values import DEBIAN, LEASE, job_id, new_job
from tests.played_host import PlayedHost
from tests.waiting import wait_until

LIMIT = 10
TURNS = 8
HOSTS = [f"cmp-{number}" for number in range(24)]
SITES = ("north", "south", "")
PATIENCE = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)


class WorkingHosts:
    """Hosts that count how many of them are at work; a second call for the same job joins the first one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at_work: dict[tuple[str, str], int] = {}
        self.most = 0
        self.may_end = threading.Event()
        self.paused: set[str] = set()

    def answer(self, request):
        key = request.job_id, request.host
        with self.lock:
            self.at_work[key] = self.at_work.get(key, 0) + 1
            self.most = max(self.most, len(self.at_work))
        wait_until(lambda: self.may_end.is_set() or request.job_id in self.paused)
        time.sleep(0.002)
        with self.lock:
            self.at_work.pop(key, None)
        if not self.may_end.is_set():
            return [TaskPaused(image) for image in request.images]
        return [TaskResult(image, Outcome.CACHED, 1) for image in request.images]

    def pause(self, job, *_call):
        self.paused.add(job)


class Conductor:
    def __init__(self, stores, owner, gateway, permits) -> None:
        self.pool = DaemonPool(TURNS)
        scheduler = CallScheduler(pool=self.pool, concurrency=TURNS, needs_permits=True)
        self.keeper = PermitKeeper(permits=permits, scheduler=scheduler)
        run_job = build_run_job(
            claims=stores.claims, queries=stores.queries, hosts=stores.hosts, gateway=gateway,
            announcer=Announcer(notifier=MemoryNotifier(), origin=owner), clock=SystemClock(), scheduler=scheduler,
            messages=DaemonPool(3), service_down_time=MINUTE, write_interval=timedelta(milliseconds=20),
            stop_patience=timedelta(),
        )  # fmt: skip
        self.loop = WorkLoop(
            claims=stores.claims, leases=stores.leases, run_job=run_job, owner=owner, lease=LEASE,
            poll_interval=timedelta(milliseconds=50), jobs_at_once=3,
        )  # fmt: skip
        self.keeper.start()
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop(PATIENCE)
        self.keeper.stop(PATIENCE)


@pytest.fixture
def hosts():
    return WorkingHosts()


@pytest.fixture
def conductors(stores, hosts):
    gateway, now = InProcessComputes(), SystemClock().now()
    for host in HOSTS:
        gateway.join(host, PlayedHost(hosts.answer, pause_job=hosts.pause))
    beats = [Heartbeat(host, "cell1", "fake", now, site=SITES[number % 3]) for number, host in enumerate(HOSTS)]
    stores.host_reports.store_heartbeats(beats)
    permits = stores.permits(CallLimits(hosts=LIMIT), timedelta(minutes=30))
    three = [Conductor(stores, f"conductor-{number}", gateway, permits) for number in range(3)]
    yield three
    hosts.may_end.set()
    for each in three:
        each.stop()
        each.pool.shutdown()


def test_the_limit_holds_and_every_job_ends_also_if_a_conductor_is_stopped(stores, hosts, conductors):
    numbers = range(1, 6)
    for number in numbers:
        options = JobOptions(priority=50 + number % 2, parallelism_per_site=2)
        stores.intake.add(new_job(number, hosts=HOSTS, images=[DEBIAN], options=options))
    wait_until(lambda: len(hosts.at_work) == LIMIT)

    conductors[0].stop()
    hosts.may_end.set()

    wait_until(lambda: all(job.state.is_final for job in stores.queries.list_jobs()))
    assert hosts.most == LIMIT
    for number in numbers:
        assert stores.queries.get(job_id(number)).counts == {Outcome.CACHED: len(HOSTS)}


def test_a_paused_job_leaves_its_permits_to_others(stores, hosts, conductors):
    stores.intake.add(new_job(1, hosts=HOSTS, images=[DEBIAN], options=JobOptions(priority=60)))
    wait_until(lambda: len(hosts.at_work) == TURNS)
    stores.intake.add(new_job(2, hosts=HOSTS, images=[DEBIAN]))

    stores.steering.pause(job_id(1))

    wait_until(lambda: stores.queries.get(job_id(1)).state is JobState.PAUSED)
    hosts.may_end.set()
    wait_until(lambda: stores.queries.get(job_id(2)).state is JobState.SUCCEEDED)
    stores.steering.resume(job_id(1))
    wait_until(lambda: stores.queries.get(job_id(1)).state is JobState.SUCCEEDED)
    assert hosts.most <= LIMIT
