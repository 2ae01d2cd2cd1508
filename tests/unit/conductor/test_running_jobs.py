"""The jobs of a process, each with its lease and its reasons to stop."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.adapters.jobs_memory import MemoryJobs
from precache.background.cancel_token import CancelToken
from precache.conductor.job_control import JobControl
from precache.conductor.running_jobs import RunningJobs
from precache.core.job_changes import JobChange
from precache.core.stopping import StopReason
from tests.unit.conductor.test_work_loop import new_job

LEASE = timedelta(seconds=30)


class Watched(MemoryJobs):
    """Keeps which claims it was asked about."""

    def __init__(self):
        super().__init__()
        self.looks = []

    def steering(self, claims):
        self.looks.append([claim.job_id for claim in claims])
        return super().steering(claims)


@pytest.fixture
def jobs():
    return Watched()


@pytest.fixture
def running(jobs):
    return RunningJobs(leases=jobs, lease=LEASE)


@pytest.fixture
def start(jobs, running):
    """Return a function that runs a new job until the end of the test, and returns its control."""
    end = threading.Event()

    def start(name):
        jobs.add(new_job(name))
        control = JobControl(CancelToken())
        running.start(jobs.claim("me", LEASE), control, lambda: end.wait(10))
        return control

    yield start
    end.set()


def test_only_the_job_that_an_operator_cancelled_is_stopped_and_its_lease_is_kept(jobs, running, start):
    other, cancelled = start("other"), start("cancelled")
    jobs.cancel("cancelled")

    running.read_steering()

    assert (cancelled.stop.reason, cancelled.work.reason, other.work.reason) == (None, StopReason.CANCELLED, None)


def test_a_paused_job_is_stopped_and_one_that_is_changed_is_told_of_the_revision(jobs, running, start):
    paused, changed = start("paused"), start("changed")
    jobs.pause("paused")
    jobs.change("changed", JobChange({"parallelism": 3}))

    running.read_steering()

    assert (paused.stop.reason, paused.work.reason, paused.revision) == (None, StopReason.PAUSED, 0)
    assert (changed.work.reason, changed.revision) == (None, 1)


def test_a_job_that_was_told_is_not_looked_for_again(jobs, running, start):
    start("other")
    start("cancelled")
    jobs.cancel("cancelled")

    for _ in range(2):
        running.read_steering()

    assert jobs.looks == [["other", "cancelled"], ["other"]]


def test_without_a_job_the_store_is_not_read(jobs, running):
    running.read_steering()

    assert jobs.looks == []


def test_a_lost_lease_counts_before_a_cancel(jobs, running, start):
    control = start("job")
    jobs.cancel("job")
    running.read_steering()
    jobs.release_all()

    running.extend_leases()

    assert (control.stop.reason, control.work.reason) == (StopReason.LEASE_LOST, StopReason.LEASE_LOST)
