"""The loop around the jobs: it finds them, keeps them, lets go of them, and survives what goes wrong in them."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_system import SystemClock
from precache.adapters.jobs_memory import MemoryJobs
from precache.conductor.work_loop import WorkLoop
from precache.core.errors import StoreUnavailable
from precache.core.images import parse_image_id
from precache.core.jobs import JobState, NewJob

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
PATIENCE = timedelta(seconds=10)
START = datetime(2026, 1, 1, tzinfo=UTC)


def new_job(name: str, number: int = 0) -> NewJob:
    return NewJob(name, 1, "uuid", "agg", ("host",), (IMAGE,), "admin", "req", START + timedelta(seconds=number))


@pytest.fixture
def loops():
    """Give a function that starts a loop; all are stopped at the end."""
    started = []

    def start(claims, run_job, *, lease=timedelta(seconds=30), at_once=4) -> WorkLoop:
        loop = WorkLoop(
            claims=claims, run_job=run_job, clock=SystemClock(), owner="one", lease=lease,
            poll_interval=timedelta(seconds=0.05), jobs_at_once=at_once,
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

    def run(job, stop):
        ran.append(job.id)
        jobs.finish(job.id, "one", JobState.SUCCEEDED, START)
        if len(ran) == 3:
            done.set()

    loops(jobs, run, at_once=1)

    assert done.wait(10)
    assert ran == ["first", "second", "third"]


def test_a_job_that_breaks_does_not_stop_the_others(loops):
    jobs, done = MemoryJobs(), threading.Event()
    jobs.add(new_job("bad", 0))
    jobs.add(new_job("good", 1))

    def run(job, stop):
        if job.id == "bad":
            raise RuntimeError("a bug")
        done.set()

    loops(jobs, run, at_once=1)

    assert done.wait(10)


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("a bug")])
def test_a_store_that_fails_for_a_while_is_asked_again(loops, trouble):
    class Flaky(MemoryJobs):
        failures = 3

        def claim(self, owner, now, lease):
            if self.failures:
                self.failures -= 1
                raise trouble
            return super().claim(owner, now, lease)

    jobs, done = Flaky(), threading.Event()
    jobs.add(new_job("job"))

    loops(jobs, lambda job, stop: done.set())

    assert done.wait(10)


@pytest.mark.parametrize("trouble", [None, StoreUnavailable("gone"), RuntimeError("a bug")])
def test_the_lease_of_a_running_job_is_extended(loops, trouble):
    extended, troubles = threading.Event(), [trouble] if trouble else []

    class Seen(MemoryJobs):
        def extend(self, job_id, owner, now, lease):
            if troubles:
                raise troubles.pop()
            super().extend(job_id, owner, now, lease)
            extended.set()

    jobs = Seen()
    jobs.add(new_job("job"))

    loops(jobs, lambda job, stop: stop.wait(10), lease=timedelta(seconds=0.3))

    assert extended.wait(10)


def test_a_job_whose_lease_is_lost_is_told_to_stop(loops):
    jobs, told = MemoryJobs(), threading.Event()
    jobs.add(new_job("job"))

    def run(job, stop):
        jobs.release_all()
        if stop.wait(10):
            told.set()

    loops(jobs, run, lease=timedelta(seconds=0.3), at_once=1)

    assert told.wait(10)


def test_stopping_tells_the_running_jobs_and_claims_no_more(loops):
    jobs, running, told = MemoryJobs(), threading.Event(), threading.Event()
    jobs.add(new_job("job"))

    def run(job, stop):
        running.set()
        if stop.wait(10):
            told.set()

    loop = loops(jobs, run)
    assert running.wait(10)

    loop.stop(PATIENCE)
    jobs.add(new_job("later", 1))
    loop.wake()

    assert told.is_set()
    assert jobs.get("later").state is JobState.QUEUED
