"""A job that an operator has cancelled: its hosts stop, every task ends, and so does the job."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.background.cancel_token import CancelToken
from precache.conductor.announce import END, PROGRESS
from precache.core.errors import (
    ComputeOutdated,
    ComputeUnreachable,
    InventoryUnavailable,
    LeaseLost,
    Stopped,
    StoreUnavailable,
)
from precache.core.jobs import HostAsked, JobState, Outcome, TaskResult
from precache.core.stopping import StopReason
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import DOWN_TIME, FIRST, LEASE, SECOND, Cloud, answers
from tests.waiting import wait_until

PATIENCE_S = 10
LONG = timedelta(hours=1)
SHORT = timedelta(seconds=0.3)


class SlowHost:
    """Works on each request until its job is cancelled, or the test releases it; keeps what it is told, in order.

    trouble: raised instead of a confirmation.
    """

    def __init__(self, outcome=Outcome.CANCELLED, trouble=None):
        self.outcome, self.trouble = outcome, trouble
        self.told: list[str] = []
        self.is_busy, self.may_end = threading.Event(), threading.Event()

    def process_images(self, request):
        self.told.append("cache")
        self.is_busy.set()
        assert self.may_end.wait(PATIENCE_S)
        return [TaskResult(image, self.outcome, bytes_moved=7) for image in request.images]

    def cancel_job(self, job_id, retry_count=0):
        self.told.append("cancel")
        if self.trouble is not None:
            raise self.trouble
        self.may_end.set()


class Running:
    """A cloud with slow hosts and others, and a thread that runs its job."""

    def __init__(self, slow, others=(), *, concurrency=2, cancel_patience=LONG, **options):
        self.slow = slow
        fast = {name: answers(Outcome.CACHED) for name in others}
        hosts = {name: host.process_images for name, host in slow.items()} | fast
        self.cloud = Cloud(hosts, concurrency=concurrency, **options)
        for name, host in slow.items():
            self.cloud.gateway.join(name, PlayedHost(host.process_images, host.cancel_job))
        self.stop = CancelToken()
        self.work = self.stop.child()
        self.errors: list[Exception] = []
        self.patience = cancel_patience

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        for host in self.slow.values():
            assert host.is_busy.wait(PATIENCE_S)
        return self

    def _run(self):
        try:
            self.cloud.run(stop=self.stop, work=self.work, cancel_patience=self.patience, stop_patience=LONG)
        except LeaseLost as error:
            self.errors.append(error)

    def cancel(self):
        self.cloud.jobs.cancel("job")
        self.work.cancel(StopReason.CANCELLED)

    def join(self):
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def end(self):
        """Let hosts that hang answer, so that no thread is left."""
        for host in self.slow.values():
            host.may_end.set()


@pytest.fixture
def running():
    started = []

    def start(*args, **options):
        started.append(Running(*args, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.end()


def test_hosts_at_work_are_told_to_stop_and_no_other_is_asked(running):
    hosts = {"a": SlowHost(), "b": SlowHost()}
    run = running(hosts, ["c", "d"])

    run.cancel()
    run.join()

    job = run.cloud.jobs.get("job")
    assert (job.state, job.counts) == (JobState.CANCELLED, {Outcome.CANCELLED: 4})
    tasks = {task.host: task for task in run.cloud.jobs.list_tasks("job")}
    assert [(tasks[name].attempts, tasks[name].bytes_done) for name in "abcd"] == [(1, 7), (1, 7), (0, 0), (0, 0)]
    assert {task.reason for task in tasks.values()} == {""}
    assert [tasks[name].cell for name in "abcd"] == ["cell1", "cell2", "cell1", "cell2"]
    assert [host.told for host in hosts.values()] == [["cache", "cancel"]] * 2
    assert run.cloud.events().count(PROGRESS) == 4
    assert run.cloud.events()[-1] == END


def test_what_a_host_had_done_when_it_was_told_counts_as_done(running):
    run = running({"a": SlowHost(Outcome.CACHED)}, ["b"], concurrency=1)

    run.cancel()
    run.join()

    job = run.cloud.jobs.get("job")
    assert (job.state, job.counts) == (JobState.CANCELLED, {Outcome.CACHED: 1, Outcome.CANCELLED: 1})


def test_a_host_that_does_not_answer_is_waited_for_and_then_its_tasks_have_the_reason(running):
    host = SlowHost(trouble=ComputeUnreachable("a", "connection refused"))
    run = running({"a": host}, cancel_patience=SHORT)

    run.cancel()
    run.join()

    assert run.cloud.jobs.get("job").state is JobState.CANCELLED
    assert run.cloud.outcomes() == {"a": [Outcome.CANCELLED]}
    assert run.cloud.reason("a") == (
        "Compute host a did not answer: connection refused; a transfer there may go on until it ends"
    )


def test_a_host_that_confirms_but_never_answers_ends_as_unconfirmed(running):
    class Hangs(SlowHost):
        def cancel_job(self, job_id, retry_count=0):
            self.told.append("cancel")

    run = running({"a": Hangs()}, cancel_patience=SHORT)

    run.cancel()
    run.join()

    assert run.cloud.reason("a") == (
        "the host did not report in time how its images ended; a transfer there may go on until it ends"
    )


def test_a_host_that_is_down_for_a_moment_is_told_again(running):
    class Returns(SlowHost):
        def cancel_job(self, job_id, retry_count=0):
            super().cancel_job(job_id) if self.told.count("cancel") else self._fail()

        def _fail(self):
            self.told.append("cancel")
            raise ComputeUnreachable("a", "connection refused")

    host = Returns()
    run = running({"a": host})

    run.cancel()
    run.join()

    assert host.told == ["cache", "cancel", "cancel"]
    assert run.cloud.reason("a") == ""


def test_a_host_that_is_too_old_to_be_told_is_not_waited_for(running):
    run = running({"a": SlowHost(trouble=ComputeOutdated("a", "1.2", "1.1"))})

    run.cancel()
    run.join()

    assert run.cloud.outcomes() == {"a": [Outcome.CANCELLED]}
    assert "its compute speaks version 1.1; update Precache on the host; a transfer" in run.cloud.reason("a")


def test_a_bug_of_the_gateway_ends_the_tasks_of_that_host_with_its_words(running):
    run = running({"a": SlowHost(trouble=RuntimeError("boom")), "b": SlowHost()})

    run.cancel()
    run.join()

    assert run.cloud.outcomes() == {"a": [Outcome.CANCELLED], "b": [Outcome.CANCELLED]}
    assert "boom" in run.cloud.reason("a")
    assert run.cloud.reason("b") == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ComputeUnreachable("a", "died"),
            "Compute host a did not answer: died; a transfer there may go on until it ends",
        ),
        (Stopped("Caching"), ""),
    ],
)
def test_a_call_that_fails_after_the_cancel_is_no_error_of_the_job(running, error, reason):
    class Dies(SlowHost):
        def process_images(self, request):
            super().process_images(request)
            raise error

    run = running({"a": Dies()})

    run.cancel()
    run.join()

    assert run.cloud.outcomes() == {"a": [Outcome.CANCELLED]}
    assert run.cloud.reason("a") == reason


def test_after_a_takeover_called_hosts_get_a_cancel_first_and_then_a_call_for_their_results():
    clock = MemoryClock()
    cloud = Cloud({name: answers(Outcome.CACHED) for name in "abc"}, images=(FIRST, SECOND), clock=clock)
    hosts = {name: SlowHost() for name in "abc"}
    for name, host in hosts.items():
        cloud.gateway.join(name, PlayedHost(host.process_images, host.cancel_job))
    dead = cloud.jobs.claim("dead", LEASE)
    cloud.jobs.record(dead.claim, [HostAsked(name, "cell9", (FIRST, SECOND), clock.now()) for name in "ab"])
    cloud.jobs.cancel("job")
    hosts["b"].outcome = Outcome.CACHED
    clock.advance(LEASE)

    cloud.run(owner="heir")

    # The dead conductor may have asked host c as well, and not recorded it.
    assert [host.told for host in hosts.values()] == [["cancel", "cache"], ["cancel", "cache"], ["cancel"]]
    assert cloud.outcomes() == {
        "a": [Outcome.CANCELLED] * 2, "b": [Outcome.CACHED] * 2, "c": [Outcome.CANCELLED] * 2,
    }  # fmt: skip
    assert cloud.jobs.get("job").state is JobState.CANCELLED
    assert cloud.events()[-1] == END


def test_after_a_takeover_a_host_that_is_down_holds_the_job_up_only_for_the_patience():
    clock = MemoryClock()
    cloud = Cloud({"a": answers(Outcome.CACHED)}, clock=clock)
    dead = cloud.jobs.claim("dead", LEASE)
    cloud.jobs.record(dead.claim, [HostAsked("a", "cell1", (FIRST,), clock.now())])
    cloud.jobs.cancel("job")
    cloud.gateway.leave("a")
    clock.advance(LEASE)

    cloud.run(owner="heir", cancel_patience=SHORT)

    assert cloud.jobs.get("job").state is JobState.CANCELLED
    assert "no Precache compute runs there" in cloud.reason("a")
    assert "may go on" in cloud.reason("a")


def test_after_a_takeover_a_host_that_may_have_been_asked_and_does_not_answer_has_no_reason():
    clock = MemoryClock()
    cloud = Cloud({"a": answers(Outcome.CACHED)}, clock=clock)
    cloud.jobs.claim("dead", LEASE)
    cloud.jobs.cancel("job")
    cloud.gateway.leave("a")
    clock.advance(LEASE)

    cloud.run(owner="heir", cancel_patience=LONG)

    assert cloud.outcomes() == {"a": [Outcome.CANCELLED]}
    assert cloud.reason("a") == ""


def test_a_job_that_was_cancelled_while_no_conductor_had_it_does_not_wait_for_the_inventory():
    class Away(MemoryInventory):
        def find_hosts(self, names):
            raise InventoryUnavailable("http://nova/v2.1", "connection refused")

    clock, host = MemoryClock(), SlowHost()
    cloud = Cloud({"a": host.process_images}, clock=clock, inventory=Away(clock=clock))
    cloud.jobs.release(cloud.jobs.claim("before", LEASE).claim)
    cloud.jobs.cancel("job")

    cloud.run()

    assert host.told == []
    assert cloud.jobs.get("job").counts == {Outcome.CANCELLED: 1}


def test_a_cancel_ends_the_wait_for_an_inventory_that_is_unavailable():
    class Away(MemoryInventory):
        is_asked = threading.Event()

        def find_hosts(self, names):
            self.is_asked.set()
            raise InventoryUnavailable("http://nova/v2.1", "connection refused")

    clock = MemoryClock()
    run = Running({}, ["a"], clock=clock, inventory=Away(clock=clock)).start()
    assert Away.is_asked.wait(PATIENCE_S)

    run.cancel()
    run.join()

    assert run.cloud.jobs.get("job").counts == {Outcome.CANCELLED: 1}


def test_a_cancel_ends_the_wait_for_heartbeats_and_calls_no_host_down():
    cloud = Cloud({"a": answers(Outcome.CACHED)})
    cloud.clock.advance(DOWN_TIME * 2)
    stop = CancelToken()
    work = stop.child()

    def cancel(cell):
        if not work.is_cancelled:
            cloud.jobs.cancel("job")
            work.cancel(StopReason.CANCELLED)
        return 0.0

    cloud.run(stop=stop, work=work, listening_for_s=cancel)

    assert cloud.outcomes() == {"a": [Outcome.CANCELLED]}
    assert cloud.reason("a") == ""


def test_a_process_that_stops_during_a_cancel_leaves_the_rest_to_the_next_conductor(running):
    host = SlowHost(trouble=ComputeUnreachable("a", "connection refused"))
    run = running({"a": host}, ["b"], concurrency=1)
    run.cancel()
    wait_until(lambda: "cancel" in host.told)

    run.stop.cancel(StopReason.SHUTDOWN)
    host.may_end.set()
    run.join()

    job = run.cloud.jobs.get("job")
    assert job.state is JobState.QUEUED
    assert job.cancel_requested_at is not None
    assert END not in run.cloud.events()
    host.trouble = None
    run.cloud.run(owner="next")
    assert run.cloud.jobs.get("job").state is JobState.CANCELLED


def test_outcomes_of_a_cancelled_job_wait_for_a_store_that_is_unavailable(running):
    class Fails(MemoryJobs):
        failures = 0

        def record(self, claim, steps):
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("gone")
            super().record(claim, steps)

    run = running({"a": SlowHost()}, jobs=Fails())
    run.cloud.jobs.failures = 1

    run.cancel()
    run.join()

    assert run.cloud.jobs.get("job").counts == {Outcome.CANCELLED: 1}


def test_a_conductor_that_lost_its_lease_waits_for_no_host(running):
    clock = MemoryClock()
    run = running({"a": SlowHost()}, clock=clock)
    clock.advance(LEASE)
    assert run.cloud.jobs.claim("heir", LEASE) is not None

    run.stop.cancel(StopReason.LEASE_LOST)
    run.join()

    assert [type(error) for error in run.errors] == [LeaseLost]
    assert run.slow["a"].told == ["cache"]
