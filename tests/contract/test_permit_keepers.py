"""Conductors that call hosts with permits: together they keep a limit, and what one leaves another uses."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.background.cancel_token import CancelToken
from precache.background.daemon_pool import DaemonPool
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.permit_keeper import PermitKeeper
from precache.core.errors import StoreUnavailable
from precache.core.host_calls import CallLimits
from precache.core.hosts import Host
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState
from precache.core.stopping import StopReason
from tests.contract.job_values import LEASE, NOW, claim, new_job
from tests.waiting import wait_until

LONGEST_CALL = timedelta(minutes=30)
PATIENCE = timedelta(seconds=10)


class Hosts:
    """The hosts of all jobs. A call takes some milliseconds, or until the host is let go; counts how many are at work.

    A host that is called twice for one job at a time works once.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.at_work, self.done, self.most = {}, {}, 0  # done: in the order in which they ended
        self.go_on = threading.Event()
        self.is_slow = False

    def call(self, job, host, is_lost):
        """Return when the host has ended; at once if `is_lost` is set meanwhile: then the host goes on."""
        key = job, host.name
        with self.lock:
            self.at_work[key] = self.at_work.get(key, 0) + 1
            self.most = max(self.most, len(self.at_work))
        while self.is_slow and not self.go_on.is_set():
            if is_lost.wait(0.005):
                return False
        if is_lost.wait(0.002):
            return False
        with self.lock:
            self.at_work.pop(key, None)
            self.done[key] = None
        return True


class Conductor:
    def __init__(self, stores, name, hosts, permits, turns=8):
        self.stores, self.name, self.hosts = stores, name, hosts
        self.is_dead, self.stop = threading.Event(), CancelToken()
        self.jobs = {}
        self.scheduler = CallScheduler(pool=DaemonPool(turns), concurrency=turns, needs_permits=True)
        self.keeper = PermitKeeper(permits=permits, scheduler=self.scheduler)
        self.keeper.start()

    def run(self, count=30, at=NOW, without=()):
        """Claim a job and call its hosts, except those that have ended."""
        job = claim(self.stores, self.name, at)
        names = [f"host-{number}" for number in range(count)]
        dispatcher = self.dispatcher(job, [name for name in names if (job.id, name) not in without])
        dispatcher.resume()
        return job.id

    def dispatcher(self, job, names):
        by_cell = {"cell1": [Host(name, "cell1") for name in names]}
        dispatcher = HostDispatcher(
            claim=job.claim, stop=self.stop, scheduler=self.scheduler, on_idle=lambda: None,
            ask=lambda host: self.hosts.call(job.id, host, self.is_dead),
        )  # fmt: skip
        dispatcher.add(by_cell)
        dispatcher.change(priority=job.options.priority, parallelism=None, parallelism_per_site=None)
        self.jobs[job.id] = dispatcher
        return dispatcher

    def end(self, job):
        self.jobs[job].pause()
        self.jobs[job].close()
        self.stores.claims.finish(self.jobs[job].claim, JobState.SUCCEEDED)

    def die(self):
        """Do and store nothing any more. The hosts go on."""
        self.stop.cancel(StopReason.SHUTDOWN)
        for dispatcher in self.jobs.values():
            dispatcher.pause()
        self.is_dead.set()


class Noting:
    """The port `CallPermits`, with a list of what was exchanged."""

    def __init__(self, permits, exchanges):
        self._permits, self._exchanges = permits, exchanges

    def exchange(self, calls):
        given = self._permits.exchange(calls)
        self._exchanges.append(calls)
        return given


class Failing:
    """The port `CallPermits`, whose first exchanges fail."""

    def __init__(self, permits, failures):
        self._permits, self._failures = permits, failures

    def exchange(self, calls):
        if self._failures:
            raise self._failures.pop()
        return self._permits.exchange(calls)


@pytest.fixture
def hosts():
    return Hosts()


@pytest.fixture
def conductor(stores, hosts):
    """Return a function that starts a conductor for a limit of all hosts; all are stopped at the end."""
    started, permits = [], {}

    def start(name, limit, wrap=lambda each: each):
        of_limit = permits.setdefault(limit, stores.permits(CallLimits(hosts=limit), LONGEST_CALL))
        started.append(Conductor(stores, name, hosts, wrap(of_limit)))
        return started[-1]

    yield start
    hosts.go_on.set()
    for each in started:
        each.keeper.stop(PATIENCE)


def jobs(stores, *priorities):
    for number, priority in enumerate(priorities, start=1):
        stores.intake.add(new_job(number, options=JobOptions(priority=priority)))


def test_three_conductors_keep_a_limit_of_ten_also_while_one_dies(stores, hosts, conductor):
    conductors = [conductor(name, 10) for name in ("one", "two", "three")]
    jobs(stores, 50, 50, 50)
    ids = [each.run() for each in conductors]
    wait_until(lambda: len(hosts.done) > 10)
    hosts.is_slow = True
    wait_until(lambda: len(hosts.at_work) == 10)

    conductors[2].die()
    lost = {key for key in list(hosts.at_work) if key[0] == ids[2]}
    hosts.is_slow = False
    wait_until(lambda: len({key for key in list(hosts.done) if key[0] != ids[2]}) == 60)
    assert lost <= hosts.at_work.keys()
    stores.clock.set(NOW + LEASE)
    stores.leases.extend([conductors[each].jobs[ids[each]].claim for each in (0, 1)], LEASE)
    conductors[0].run(at=NOW + LEASE, without=hosts.done)

    wait_until(lambda: len(hosts.done) == 90)
    assert hosts.most == 10
    assert not hosts.at_work


def test_a_job_with_a_higher_priority_on_another_conductor_waits_for_one_call_only(stores, hosts, conductor):
    jobs(stores, 50)
    hosts.is_slow = True
    exchanges = []
    low, high = conductor("low", 4), conductor("high", 4, lambda permits: Noting(permits, exchanges))
    bulk = low.run(1000)
    wait_until(lambda: len(hosts.at_work) == 4)
    stores.intake.add(new_job(2, options=JobOptions(priority=60)))
    urgent = high.run(4)
    wait_until(lambda: exchanges)  # so that the other conductor knows what it wants

    hosts.is_slow = False

    wait_until(lambda: len({key for key in list(hosts.done) if key[0] == urgent}) == 4)
    assert [job for job, _ in hosts.done][:8] == [bulk] * 4 + [urgent] * 4


def test_permits_are_free_again_after_a_job_and_after_a_failure_of_the_store(stores, hosts, conductor):
    jobs(stores, 50, 50)
    failures = [StoreUnavailable("gone"), RuntimeError("a bug")]
    one, two = conductor("one", 2), conductor("two", 2, lambda permits: Failing(permits, failures))
    first = one.run(4)
    wait_until(lambda: len(hosts.done) == 4)
    one.end(first)

    two.run(4)

    wait_until(lambda: len(hosts.done) == 8)
    assert (failures, hosts.most) == ([], 2)


def test_a_job_that_is_taken_over_to_be_stopped_keeps_the_permits_until_its_hosts_have_stopped(
    stores, hosts, conductor
):
    hosts.is_slow = True
    jobs(stores, 50, 50)
    dead, heir = conductor("dead", 2), conductor("heir", 2)
    job = dead.run()
    wait_until(lambda: len(hosts.at_work) == 2)
    dead.die()
    stores.clock.set(NOW + LEASE)
    stopped = heir.dispatcher(claim(stores, "heir", NOW + LEASE), [])
    assert stopped.claim.job_id == job
    stopped.pause()
    other = heir.run(at=NOW + LEASE)
    wait_until(lambda: heir.keeper.held == 2)
    assert not any(each == other for each, _ in hosts.at_work)

    stores.claims.finish(stopped.claim, JobState.CANCELLED)
    stopped.close()

    wait_until(lambda: sum(each == other for each, _ in hosts.at_work) == 2)


def test_without_jobs_there_is_no_exchange(conductor):
    failures = [StoreUnavailable("gone")]
    one = conductor("one", 2, lambda permits: Failing(permits, failures))

    one.keeper.exchange()

    assert len(failures) == 1
