"""The loop around the jobs: it finds them, keeps them, lets go of them, and survives what goes wrong in them."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.jobs_memory import MemoryJobs
from precache.background.threads import start_thread
from precache.conductor.work_loop import WorkLoop
from precache.core.errors import StoreUnavailable
from precache.core.images import parse_image_id
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState, NewJob
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from tests.waiting import wait_until

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
PATIENCE = timedelta(seconds=10)
START = datetime(2026, 1, 1, tzinfo=UTC)


def new_job(name: str, number: int = 0, priority: int = 50) -> NewJob:
    return NewJob(
        id=name,
        hosts=("host",),
        orders=(ImageOrder(IMAGE),),
        options=JobOptions(priority=priority),
        requested_by="admin",
        request_id="req",
        created_at=START + timedelta(seconds=number),
    )


@pytest.fixture
def loops():
    """Return a function that starts a loop; all are stopped at the end."""
    started = []

    def start(
        claims, run_job, *, lease=timedelta(seconds=30), at_once=4, poll_interval=timedelta(seconds=0.05), **options
    ) -> WorkLoop:
        loop = WorkLoop(
            claims=claims, leases=claims, run_job=run_job, owner="one", lease=lease,
            poll_interval=poll_interval, jobs_at_once=at_once, **options,
        )  # fmt: skip
        loop.start()
        started.append(loop)
        return loop

    yield start
    for loop in started:
        loop.stop(PATIENCE)


def test_waiting_jobs_are_run_oldest_first(loops):
    jobs, ran, done = MemoryJobs(), [], threading.Event()
    for number, name in enumerate(["first", "second", "third"]):
        jobs.add(new_job(name, number))

    def run(job, control):
        ran.append(job.id)
        jobs.finish(job.claim, JobState.SUCCEEDED)
        if len(ran) == 3:
            done.set()

    loops(jobs, run, at_once=1)

    assert done.wait(10)
    assert ran == ["first", "second", "third"]


def test_a_job_with_a_higher_priority_does_not_wait_for_the_slots_of_others(loops):
    jobs, ran, end = MemoryJobs(), [], threading.Event()

    def run(job, control):
        ran.append(job.id)
        assert end.wait(10)
        jobs.finish(job.claim, JobState.SUCCEEDED)

    for number in range(3):
        jobs.add(new_job(f"bulk{number}", number))
    loop = loops(jobs, run, at_once=2, poll_interval=timedelta(hours=1))
    wait_until(lambda: len(ran) == 2)

    jobs.add(new_job("urgent", 9, priority=51))
    loop.wake()

    wait_until(lambda: len(ran) == 3)
    assert sorted(ran) == ["bulk0", "bulk1", "urgent"]
    end.set()
    wait_until(lambda: jobs.get("bulk2").state is JobState.SUCCEEDED)  # without a look after the poll interval


def test_a_job_that_breaks_does_not_stop_the_others(loops):
    jobs, done = MemoryJobs(), threading.Event()
    jobs.add(new_job("bad", 0))
    jobs.add(new_job("good", 1))

    def run(job, control):
        if job.id == "bad":
            raise RuntimeError("a bug")
        done.set()

    loops(jobs, run, at_once=1)

    assert done.wait(10)


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("a bug")])
def test_a_store_that_fails_for_a_while_is_asked_again(loops, trouble):
    class Flaky(MemoryJobs):
        failures = 3

        def claim(self, owner, lease, **options):
            if self.failures:
                self.failures -= 1
                raise trouble
            return super().claim(owner, lease, **options)

    jobs, done = Flaky(), threading.Event()
    jobs.add(new_job("job"))

    loops(jobs, lambda job, control: done.set())

    assert done.wait(10)


@pytest.mark.parametrize("trouble", [None, StoreUnavailable("gone"), RuntimeError("a bug")])
def test_the_lease_of_a_running_job_is_extended(loops, trouble):
    extended, troubles = threading.Event(), [trouble] if trouble else []

    class Seen(MemoryJobs):
        def extend(self, claims, lease):
            if troubles:
                raise troubles.pop()
            lost = super().extend(claims, lease)
            extended.set()
            return lost

    jobs = Seen()
    jobs.add(new_job("job"))

    loops(jobs, lambda job, control: control.stop.wait(10), lease=timedelta(seconds=0.3))

    assert extended.wait(10)


def test_a_job_whose_lease_is_lost_is_told_to_stop(loops):
    jobs, told = MemoryJobs(), threading.Event()
    jobs.add(new_job("job"))

    def run(job, control):
        jobs.release_all()
        if control.stop.wait(10):
            told.set()

    loops(jobs, run, lease=timedelta(seconds=0.3), at_once=1)

    assert told.wait(10)


@pytest.mark.parametrize("is_woken", [True, False])
def test_a_job_that_an_operator_cancels_learns_it_though_no_slot_is_free(loops, is_woken):
    jobs, reasons, done = MemoryJobs(), [], threading.Event()
    jobs.add(new_job("job"))
    running = threading.Event()

    def run(job, control):
        running.set()
        control.work.wait(10)
        reasons.append((control.stop.reason, control.work.reason))
        done.set()

    loop = loops(jobs, run, at_once=1)
    assert running.wait(10)

    jobs.cancel("job")
    if is_woken:
        loop.wake()

    assert done.wait(10)
    assert reasons == [(None, StopReason.CANCELLED)]


def test_a_stop_ends_the_running_jobs_and_claims_no_more(loops):
    jobs, running, told = MemoryJobs(), threading.Event(), threading.Event()
    jobs.add(new_job("job"))

    def run(job, control):
        running.set()
        if control.stop.wait(10):
            told.set()

    loop = loops(jobs, run)
    assert running.wait(10)

    loop.stop(PATIENCE)
    jobs.add(new_job("later", 1))
    loop.wake()

    assert told.is_set()
    assert jobs.get("later").state is JobState.QUEUED


def test_a_job_that_runs_here_is_not_claimed_again_though_its_lease_ran_out(loops):
    class Counting(MemoryJobs):
        looks = 0

        def claim(self, owner, lease, **options):
            self.looks += 1
            return super().claim(owner, lease, **options)

    clock, runs, running, end = MemoryClock(), [], threading.Event(), threading.Event()
    jobs = Counting(clock=clock)
    jobs.add(new_job("job"))

    def run(job, control):
        runs.append(job.id)
        running.set()
        end.wait(10)
        jobs.finish(job.claim, JobState.SUCCEEDED)

    loop = loops(jobs, run)
    assert running.wait(10)

    clock.advance(timedelta(seconds=90))  # the store was unavailable for three leases
    before = jobs.looks
    loop.wake()
    wait_until(lambda: jobs.looks >= before + 2)
    end.set()

    wait_until(lambda: jobs.get("job").state is JobState.SUCCEEDED)
    assert runs == ["job"]
    assert jobs.get("job").lease_token == 1


def test_a_job_that_was_announced_is_found_by_one_look_and_its_end_leads_to_none(loops):
    class Counting(MemoryJobs):
        looks = 0

        def claim(self, owner, lease, **options):
            self.looks += 1
            return super().claim(owner, lease, **options)

    def run(job, control):
        jobs.finish(job.claim, JobState.SUCCEEDED)

    jobs = Counting()
    loop = loops(jobs, run, poll_interval=timedelta(hours=1))
    wait_until(lambda: jobs.looks == 1)  # at the start

    for number, name in enumerate(("first", "second")):
        jobs.add(new_job(name, number))
        loop.wake()
        wait_until(lambda name=name: jobs.get(name).state is JobState.SUCCEEDED)

    assert jobs.looks == 3


def test_without_a_thread_for_it_a_job_is_given_back_and_run_later(loops):
    refusals, done = [1, 2], threading.Event()

    def scarce(run, *, name):
        if refusals:
            refusals.pop()
            raise RuntimeError("can't start new thread")
        return start_thread(run, name=name)

    jobs = MemoryJobs()
    jobs.add(new_job("job"))

    loops(jobs, lambda job, control: done.set(), at_once=1, start_thread=scarce)

    assert done.wait(10)
    assert jobs.get("job").lease_token == 3


def test_the_lease_of_a_job_that_no_thread_runs_is_left_to_run_out(loops):
    def none_left(run, *, name):
        raise RuntimeError("can't start new thread")

    class Away(MemoryJobs):
        extended = 0
        refused = threading.Event()

        def release(self, claim, **how):
            self.refused.set()
            raise StoreUnavailable("gone")

        def extend(self, claims, lease):
            self.extended += len(claims)
            return super().extend(claims, lease)

    clock = MemoryClock()
    jobs = Away(clock=clock)
    jobs.add(new_job("job"))

    loops(jobs, lambda job, control: None, lease=timedelta(seconds=0.1), start_thread=none_left)
    assert jobs.refused.wait(10)
    before = jobs.get("job").lease_until
    clock.advance(timedelta(seconds=1))
    wait_until(lambda: jobs.get("job").lease_token >= 2)  # it is free for another, and was claimed again

    assert jobs.get("job").lease_until > before
    assert jobs.extended == 0


def test_a_job_that_is_resumed_while_it_is_being_paused_is_claimed_at_once(loops):
    jobs, runs, done = MemoryJobs(), [], threading.Event()
    jobs.add(new_job("job"))

    def run(job, control):
        runs.append(job.id)
        if len(runs) == 2:
            done.set()
            return
        control.work.cancel(StopReason.PAUSED)
        jobs.release(job.claim, state=JobState.PAUSED)  # there is no request any more, so that it is queued

    loops(jobs, run, poll_interval=timedelta(hours=1))

    assert done.wait(10)
