"""How a job's steps reach the store: in batches, whatever the store does meanwhile; and how jobs share the calls."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.jobs_memory import MemoryJobs
from precache.background.cancel_token import CancelToken
from precache.background.daemon_pool import DaemonPool
from precache.background.threads import start_thread
from precache.conductor.announce import END, PROGRESS
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.outcome_recorder import BATCH, UNSTORABLE
from precache.core.errors import LeaseLost, StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.jobs import HostEnded, JobState, Outcome, TaskResult
from precache.core.stopping import StopReason
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import LEASE, Cloud, answers
from tests.waiting import wait_until

PATIENCE_S = 10
LONG = timedelta(hours=1)


class Watched(MemoryJobs):
    """Keeps what was recorded, batch by batch; fails as often as it is told."""

    def __init__(self, clock=None):
        super().__init__(clock=clock)
        self.batches = []
        self.failures = 0
        self.failed = threading.Event()

    def record(self, claim, steps):
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise StoreUnavailable("gone")
        super().record(claim, steps)
        self.batches.append(list(steps))


class WatchedScheduler(CallScheduler):
    """Says which jobs have had hosts to call."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.joined = set()

    def join(self, dispatcher):
        super().join(dispatcher)
        self.joined.add(dispatcher)


def test_a_thousand_hosts_that_answer_at_once_are_recorded_in_a_few_batches():
    jobs = Watched()
    cloud = Cloud({f"host-{n}": answers(Outcome.CACHED) for n in range(1000)}, jobs=jobs, concurrency=8)

    cloud.run(write_interval=LONG)

    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 1000}
    assert len([batch for batch in jobs.batches if batch]) <= 4  # the first step, and 1,000 at most of the others
    assert max(map(len, jobs.batches)) == BATCH
    assert cloud.events().count(PROGRESS) == 1000


def test_what_is_under_way_can_be_seen_before_anything_has_ended():
    seen = threading.Event()

    def waits_to_be_seen(request):
        assert seen.wait(PATIENCE_S)
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({"a": waits_to_be_seen}, jobs=Watched())
    runner = threading.Thread(target=lambda: cloud.run(write_interval=LONG))
    runner.start()

    wait_until(lambda: cloud.jobs.list_tasks("job")[0].attempts == 1)
    seen.set()

    runner.join(PATIENCE_S)
    assert cloud.jobs.get("job").state is JobState.SUCCEEDED


def test_hosts_are_announced_once_they_are_recorded_and_in_that_order():
    jobs = Watched()
    cloud = Cloud({f"host-{n}": answers(Outcome.CACHED) for n in range(50)}, jobs=jobs, concurrency=4)

    cloud.run(write_interval=timedelta(milliseconds=1))

    recorded = [step.host for batch in jobs.batches for step in batch if isinstance(step, HostEnded)]
    told = [dict(n.payload)["nova_object.data"] for n in cloud.notifier.sent if n.event_type == PROGRESS]
    assert [data["host"] for data in told] == recorded
    assert [data["index"] for data in told] == list(range(1, 51))


def test_outcomes_are_kept_while_the_store_is_down_and_no_host_is_called_meanwhile():
    jobs, asked = Watched(), []

    def fails_the_store(request):
        asked.append(request.host)
        if len(asked) == 1:
            jobs.failures = 1
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({f"host-{n}": fails_the_store for n in range(20)}, jobs=jobs, concurrency=1)

    cloud.run()

    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 20}
    assert sorted(asked) == sorted(f"host-{n}" for n in range(20))  # each once
    assert cloud.events().count(PROGRESS) == 20
    assert cloud.events().count(END) == 1


def test_a_job_that_is_taken_over_while_the_store_is_down_is_abandoned():
    clock = MemoryClock()
    jobs = Watched(clock)
    cloud = Cloud({"a": answers(Outcome.CACHED)}, jobs=jobs, clock=clock)
    job = jobs.claim("slow", LEASE)
    jobs.failures = 1

    def take_over():
        assert jobs.failed.wait(PATIENCE_S)
        cloud.clock.advance(LEASE)
        jobs.claim("heir", LEASE)

    threading.Thread(target=take_over).start()

    with pytest.raises(LeaseLost):
        cloud.run_claimed(job, CancelToken())

    assert jobs.get("job").lease_owner == "heir"
    assert cloud.events().count(END) == 0


def test_an_answer_that_cannot_be_stored_ends_that_host_alone():
    class Picky(MemoryJobs):
        def record(self, claim, steps):
            if any(result.reason == "odd" for step in steps if isinstance(step, HostEnded) for result in step.results):
                raise ValueError("nobody foresaw this")
            super().record(claim, steps)

    def answers_oddly(request):
        return [TaskResult(image, Outcome.ERROR, reason="odd") for image in request.images]

    hosts = {"good": answers(Outcome.CACHED), "bad": answers_oddly, "better": answers(Outcome.EXISTING)}
    cloud = Cloud(hosts, jobs=Picky())

    cloud.run(write_interval=LONG)

    assert cloud.outcomes() == {"good": [Outcome.CACHED], "bad": [Outcome.ERROR], "better": [Outcome.EXISTING]}
    assert cloud.reason("bad") == UNSTORABLE
    assert cloud.events().count(PROGRESS) == 3


def test_told_to_stop_while_the_store_is_down_it_gives_up_and_the_next_one_asks_again():
    clock, stop = MemoryClock(), CancelToken()
    jobs = Watched(clock)
    cloud = Cloud({"a": answers(Outcome.CACHED)}, jobs=jobs, clock=clock)
    job = jobs.claim("one", LEASE)
    jobs.failures = 99

    def stop_then():
        assert jobs.failed.wait(PATIENCE_S)
        stop.cancel(StopReason.SHUTDOWN)

    threading.Thread(target=stop_then).start()
    with pytest.raises(StoreUnavailable):
        cloud.run_claimed(job, stop)
    jobs.failures = 0
    cloud.clock.advance(LEASE)

    cloud.run(owner="heir")

    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 1}


def test_a_stopped_job_does_not_wait_for_a_host_that_never_answers():
    stop, release = CancelToken(), threading.Event()

    def hangs(request):
        stop.cancel(StopReason.SHUTDOWN)
        release.wait(PATIENCE_S)
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({"a": hangs, "b": hangs}, concurrency=1)

    cloud.run(stop=stop, stop_patience=timedelta(0))
    release.set()

    assert cloud.jobs.get("job").state is JobState.QUEUED
    assert cloud.outcomes() == {"a": [None], "b": [None]}


def test_a_cell_whose_hosts_never_answer_does_not_hold_up_the_others():
    release = threading.Event()

    def hangs(request):
        release.wait(PATIENCE_S)
        return answers(Outcome.ERROR)(request)

    hosts = {f"slow-{n}": hangs for n in range(10)} | {f"fast-{n}": answers(Outcome.CACHED) for n in range(10)}
    cells = {name: name.partition("-")[0] for name in hosts}
    cloud = Cloud(hosts, concurrency=4, cells=cells)
    runner = threading.Thread(target=cloud.run)
    runner.start()

    wait_until(lambda: cloud.jobs.get("job").counts.get(Outcome.CACHED) == 10)
    release.set()

    runner.join(PATIENCE_S)
    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 10, Outcome.ERROR: 10}


def test_a_small_job_does_not_wait_for_the_end_of_a_large_one():
    order = []

    def notes(request):
        order.append(request.job_id)
        return answers(Outcome.CACHED)(request)

    gate = threading.Event()

    def waits_for_the_other(request):
        assert gate.wait(PATIENCE_S)
        return notes(request)

    cloud = Cloud({f"host-{n}": waits_for_the_other for n in range(30)}, concurrency=1)
    cloud.scheduler = scheduler = WatchedScheduler(pool=DaemonPool(1), concurrency=1)
    cloud.gateway.join("small", PlayedHost(notes))
    cloud.inventory.store_heartbeats([beat("small", cloud)])
    cloud.add_job("small", ["small"])
    runners = [threading.Thread(target=cloud.run) for _ in range(2)]
    runners[0].start()
    wait_until(lambda: cloud.jobs.list_tasks("job")[0].attempts == 1)  # it has the only thread
    runners[1].start()
    wait_until(lambda: len(scheduler.joined) == 2)
    gate.set()
    for runner in runners:
        runner.join(PATIENCE_S)

    assert order.index("small") <= 2
    assert len(order) == 31


def beat(name, cloud):
    return Heartbeat(name, "cell1", "fake", cloud.clock.now())


def test_a_pool_that_gets_no_thread_is_given_the_hosts_again_and_each_is_asked_once():
    asked, refusals = [], [1, 2, 3]

    def scarce(run, *, name):
        if refusals:
            refusals.pop()
            raise RuntimeError("can't start new thread")
        return start_thread(run, name=name)

    def answer(request):
        asked.append(request.host)
        return [TaskResult(image, Outcome.CACHED) for image in request.images]

    hosts = [f"host-{number}" for number in range(6)]
    cloud = Cloud(dict.fromkeys(hosts, answer))
    cloud.pool = DaemonPool(2, start=scarce)

    cloud.run()

    assert sorted(asked) == hosts
    assert cloud.jobs.get("job").state is JobState.SUCCEEDED
