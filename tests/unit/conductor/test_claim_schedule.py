"""How often a conductor looks for jobs."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.adapters.jobs_memory import MemoryJobs
from precache.conductor.claim_schedule import ClaimSchedule
from tests.unit.conductor.test_work_loop import new_job

AT_ONCE, NEVER = timedelta(0), timedelta(hours=1)
LEASE = timedelta(seconds=30)


@pytest.fixture
def jobs():
    return MemoryJobs()


def new_schedule(*, poll_interval=NEVER):
    return ClaimSchedule(poll_interval=poll_interval)


def look(schedule, jobs):
    """Wait until a look is due, and make it; return whether a job was found."""
    schedule.wait()
    schedule.begin_look()
    job = jobs.claim("me", LEASE)
    schedule.end_look(job)
    return job is not None


def is_due(schedule, within_s=0.05):
    """Return whether a look is due within so many seconds."""
    waiting = threading.Thread(target=schedule.wait, daemon=True)
    waiting.start()
    waiting.join(within_s)
    return not waiting.is_alive()


def test_at_the_start_jobs_are_looked_for_until_none_is_found(jobs):
    schedule = new_schedule()
    jobs.add(new_job("first"))
    jobs.add(new_job("second"))

    assert [look(schedule, jobs) for _ in range(3)] == [True, True, False]
    assert not is_due(schedule)


def test_a_wake_leads_to_one_look(jobs):
    schedule = new_schedule()
    look(schedule, jobs)
    jobs.add(new_job("announced"))

    schedule.wake()

    assert look(schedule, jobs)
    assert not is_due(schedule)


def test_two_wakes_lead_to_two_looks(jobs):
    schedule = new_schedule()
    look(schedule, jobs)
    for name in ("first", "second"):
        jobs.add(new_job(name))
        schedule.wake()

    assert [look(schedule, jobs) for _ in range(2)] == [True, True]
    assert not is_due(schedule)


def test_wakes_for_jobs_that_others_have_claimed_lead_to_one_look(jobs):
    schedule = new_schedule()
    look(schedule, jobs)
    for _ in range(5):
        schedule.wake()

    assert not look(schedule, jobs)

    assert not is_due(schedule)


def test_a_wake_during_a_look_leads_to_another_one(jobs):
    schedule = new_schedule()
    schedule.begin_look()
    schedule.wake()
    schedule.end_look(None)

    assert is_due(schedule, within_s=10)


def test_a_job_that_was_claimed_before_was_not_announced_so_another_may_wait(jobs):
    schedule = new_schedule()
    look(schedule, jobs)
    jobs.add(new_job("given back", 0))
    jobs.release(held(jobs))
    jobs.add(new_job("announced", 1))

    schedule.wake()

    assert [look(schedule, jobs) for _ in range(3)] == [True, True, False]


def test_after_the_poll_interval_jobs_are_looked_for_until_none_is_found(jobs):
    schedule = new_schedule(poll_interval=AT_ONCE)
    look(schedule, jobs)
    jobs.add(new_job("first"))
    jobs.add(new_job("second"))

    assert [look(schedule, jobs) for _ in range(3)] == [True, True, False]


def held(jobs):
    job = jobs.claim("other", LEASE)
    return job.claim
