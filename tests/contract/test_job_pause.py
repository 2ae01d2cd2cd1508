"""What every job store does for an operator who pauses and resumes a job, or retries one that has ended."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta

import pytest

from precache.core.errors import JobEnded, JobIsCancelled, JobNotEnded, JobNotFound, NothingToRetry
from precache.core.job_changes import JobChange
from precache.core.job_options import JobOptions, Window
from precache.core.jobs import JobState, Outcome, TaskResult, TaskState
from precache.core.stopping import StopReason
from precache.ports.job_store import Steering
from tests.contract.job_values import (
    DEBIAN,
    LEASE,
    NOW,
    SECOND,
    UBUNTU,
    asked,
    cancel,
    claim,
    ended,
    finish,
    held,
    job_id,
    new_job,
)

HOUR = timedelta(hours=1)
WAITS = {"due_at": NOW + HOUR, "reason": "Its window opens."}
FINAL = [state for state in JobState if state.is_final]


def steer(stores, action, at=NOW, *, job=1):
    """Call a method of the port at an instant of the store's clock; check that the job is stored as it is returned."""
    stores.clock.set(at)
    steered = getattr(stores.steering, action)(job_id(job))
    assert stores.queries.get(job_id(job)) == steered
    return steered


def begun_and_queued(stores):
    """Store a job that a conductor began and put back. A host may still work on it."""
    stores.intake.add(new_job())
    claim(stores)
    asked(stores, "cmp-2", UBUNTU)
    stores.claims.release(held(stores))


class TestPause:
    @pytest.mark.parametrize("fields", [{}, WAITS])
    def test_a_job_that_no_conductor_has_is_paused_at_once(self, stores, fields):
        stores.intake.add(new_job(**fields))

        job = steer(stores, "pause", NOW + SECOND)

        assert (job.state, job.pause_requested_at, job.due_at, job.reason) == (
            JobState.PAUSED,
            NOW + SECOND,
            None,
            "",
        )
        assert claim(stores, at=NOW + 9 * HOUR) is None

    def test_a_paused_job_is_due_at_its_deadline(self, stores):
        stores.intake.add(new_job(options=JobOptions(deadline=NOW + HOUR)))

        assert steer(stores, "pause").due_at == NOW + HOUR

    def test_a_job_that_runs_keeps_its_conductor(self, stores):
        stores.intake.add(new_job())
        mine = claim(stores)

        job = steer(stores, "pause", NOW + SECOND)

        assert (job.state, job.claim, job.pause_requested_at) == (JobState.RUNNING, mine.claim, NOW + SECOND)
        assert stores.leases.steering([mine.claim]) == {mine.claim: Steering(StopReason.PAUSED, 0)}

    def test_a_job_whose_hosts_may_still_work_goes_to_a_conductor(self, stores):
        begun_and_queued(stores)

        job = steer(stores, "pause", NOW + SECOND)

        assert (job.state, job.pause_requested_at) == (JobState.QUEUED, NOW + SECOND)
        assert claim(stores).pause_requested_at == NOW + SECOND

    @pytest.mark.parametrize("is_claimed", [False, True])
    def test_a_second_request_changes_nothing(self, stores, is_claimed):
        stores.intake.add(new_job())
        if is_claimed:
            claim(stores)
        first = steer(stores, "pause")

        assert steer(stores, "pause", NOW + SECOND) == first

    def test_a_job_that_is_being_cancelled_is_not_paused(self, stores):
        stores.intake.add(new_job())
        claim(stores)
        before = cancel(stores)

        with pytest.raises(JobIsCancelled, match="too late to pause"):
            steer(stores, "pause")

        assert stores.queries.get(job_id(1)) == before


class TestResume:
    def test_a_paused_job_is_queued(self, stores):
        stores.intake.add(new_job())
        steer(stores, "pause")

        job = steer(stores, "resume", NOW + SECOND)

        assert (job.state, job.pause_requested_at, job.due_at) == (JobState.QUEUED, None, None)
        assert claim(stores).id == job_id(1)

    def test_a_paused_job_waits_for_its_time(self, stores):
        stores.intake.add(new_job(**WAITS, options=JobOptions(not_before=NOW + HOUR)))
        steer(stores, "pause")

        job = steer(stores, "resume")

        assert (job.state, job.due_at) == (JobState.WAITING, NOW + HOUR)
        assert job.reason == "It may not begin before 2026-03-01T13:00:00Z."

    def test_a_job_whose_deadline_comes_before_its_window_ends_at_the_deadline(self, stores):
        window = Window(time(11), time(12, 30))
        stores.intake.add(new_job(options=JobOptions(window=window, deadline=NOW + HOUR)))
        steer(stores, "pause")

        job = steer(stores, "resume", NOW + timedelta(minutes=45))

        assert (job.state, job.due_at) == (JobState.WAITING, NOW + HOUR)
        assert job.reason == "Its window opens at 2026-03-02T11:00:00Z."

    def test_a_running_job_continues(self, stores):
        stores.intake.add(new_job())
        mine = claim(stores).claim
        steer(stores, "pause")

        job = steer(stores, "resume")

        assert (job.state, job.pause_requested_at) == (JobState.RUNNING, None)
        assert stores.leases.steering([mine]) == {mine: Steering(None, 0)}

    @pytest.mark.parametrize("fields", [{}, WAITS])
    def test_a_job_that_was_not_paused_stays_as_it_is(self, stores, fields):
        before = stores.intake.add(new_job(**fields))

        assert steer(stores, "resume") == before


class TestCancel:
    @pytest.mark.parametrize("fields", [{}, WAITS])
    def test_a_paused_job_that_never_started_ends_at_once(self, stores, fields):
        stores.intake.add(new_job(**fields))
        steer(stores, "pause")

        job = steer(stores, "cancel", NOW + SECOND)

        assert (job.state, job.counts, job.due_at) == (JobState.CANCELLED, {Outcome.CANCELLED: 4}, None)

    @pytest.mark.parametrize("state", [JobState.PAUSED, JobState.WAITING])
    def test_one_at_rest_stays_so_until_a_conductor_ends_it_at_once(self, stores, state):
        stores.intake.add(new_job())
        claim(stores)
        asked(stores, "cmp-2", UBUNTU)
        if state is JobState.PAUSED:
            steer(stores, "pause")
        stores.claims.release(held(stores), state=state, due_at=NOW + HOUR)

        job = steer(stores, "cancel", NOW + SECOND)

        assert (job.state, job.cancel_requested_at, job.due_at) == (state, NOW + SECOND, NOW + SECOND)
        assert steer(stores, "cancel", NOW + 2 * SECOND) == job
        assert steer(stores, "resume", NOW + 2 * SECOND) == job
        stores.steering.change(job_id(1), JobChange({"window": {"from": "22:00", "to": "23:00"}}))
        assert claim(stores, at=NOW + 2 * SECOND).cancel_requested_at == NOW + SECOND

    def test_a_request_to_cancel_replaces_a_request_to_pause(self, stores):
        stores.intake.add(new_job())
        mine = claim(stores).claim
        steer(stores, "pause")

        job = steer(stores, "cancel")

        assert job.pause_requested_at is None
        assert stores.leases.steering([mine]) == {mine: Steering(StopReason.CANCELLED, 0)}


def with_outcomes(stores, *outcomes, state, **fields):
    """Store an ended job of one host for each outcome."""
    hosts = [f"cmp-{place}" for place in range(len(outcomes))]
    stores.intake.add(new_job(hosts=hosts, images=[DEBIAN], **fields))
    claim(stores)
    for host, outcome in zip(hosts, outcomes, strict=True):
        asked(stores, host, DEBIAN)
        ended(stores, host, TaskResult(DEBIAN, outcome, 7, "why"))
    return finish(stores, state)


class TestRetry:
    def test_what_was_no_success_waits_for_another_attempt(self, stores):
        outcomes = list(Outcome)
        with_outcomes(stores, *outcomes, state=JobState.PARTLY_FAILED)
        before = stores.queries.list_tasks(job_id(1))

        job = steer(stores, "retry", NOW + SECOND)

        assert (job.state, job.retry_count, job.finished_at, job.started_at) == (JobState.QUEUED, 1, None, NOW)
        assert job.counts == {outcome: 1 for outcome in outcomes if outcome.is_success}
        for outcome, old, new in zip(outcomes, before, stores.queries.list_tasks(job_id(1)), strict=True):
            if outcome.is_success:
                assert new == old
                continue
            assert (new.state, new.outcome, new.attempts, new.failures) == (TaskState.WAITING, None, 1, 0)
            assert (new.bytes_done, new.bytes_total, new.reason, new.cell) == (0, 0, "", "cell1")
            assert (new.started_at, new.finished_at) == (None, None)

    def test_the_job_runs_and_ends_again(self, stores):
        with_outcomes(stores, Outcome.CACHED, Outcome.ERROR, state=JobState.PARTLY_FAILED)
        steer(stores, "retry")

        again = claim(stores)
        asked(stores, "cmp-1", DEBIAN, at=NOW + SECOND)
        ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.EXISTING))
        job = finish(stores, JobState.SUCCEEDED, NOW + HOUR)

        assert again.retry_count == 1
        assert (job.counts, job.finished_at) == ({Outcome.CACHED: 1, Outcome.EXISTING: 1}, NOW + HOUR)
        assert [task.attempts for task in stores.queries.list_tasks(job_id(1))] == [1, 2]

    def test_a_cancelled_job_is_no_longer_cancelled(self, stores):
        stores.intake.add(new_job())
        cancel(stores)

        job = steer(stores, "retry")

        assert (job.state, job.cancel_requested_at, job.counts) == (JobState.QUEUED, None, {})
        assert claim(stores).id == job_id(1)

    def test_a_deadline_that_has_passed_is_removed(self, stores):
        options = JobOptions(deadline=NOW + SECOND, priority=80)
        with_outcomes(stores, Outcome.EXPIRED, state=JobState.EXPIRED, options=options)

        job = steer(stores, "retry", NOW + SECOND)

        assert job.options == JobOptions(priority=80)

    def test_a_deadline_that_has_not_passed_stays(self, stores):
        options = JobOptions(deadline=NOW + SECOND)
        with_outcomes(stores, Outcome.ERROR, state=JobState.FAILED, options=options)

        assert steer(stores, "retry").options == options

    @pytest.mark.parametrize("outcomes", [(), (Outcome.CACHED, Outcome.EXISTING)])
    def test_a_job_without_a_failure_is_left_as_it_is(self, stores, outcomes):
        before = with_outcomes(stores, *outcomes, state=JobState.SUCCEEDED)

        with pytest.raises(NothingToRetry):
            steer(stores, "retry")

        assert stores.queries.get(job_id(1)) == before

    def test_a_second_request_is_refused_and_changes_nothing(self, stores):
        with_outcomes(stores, Outcome.ERROR, state=JobState.FAILED)
        before = steer(stores, "retry")

        with pytest.raises(JobNotEnded, match="is queued; it can be retried when it has ended"):
            steer(stores, "retry")

        assert stores.queries.get(job_id(1)) == before


@pytest.mark.parametrize("action", ["pause", "resume"])
@pytest.mark.parametrize("state", FINAL)
def test_a_job_that_has_ended_is_left_as_it_is(stores, action, state):
    before = with_outcomes(stores, Outcome.ERROR, state=state)

    with pytest.raises(JobEnded, match=f"has ended as {state}: nothing of it is left to {action}"):
        steer(stores, action)

    assert stores.queries.get(job_id(1)) == before


@pytest.mark.parametrize("action", ["pause", "resume", "retry"])
def test_an_unknown_job_is_not_found(stores, action):
    with pytest.raises(JobNotFound):
        steer(stores, action)


def test_jobs_that_are_paused_resumed_and_claimed_at_once_are_not_lost(stores):
    numbers = range(1, 21)
    for number in numbers:
        stores.intake.add(new_job(number, hosts=["cmp-1"], images=[DEBIAN], created_at=NOW + number * SECOND))
    together = threading.Barrier(4)
    claimed = []

    def claim_all():
        together.wait()
        while (job := stores.claims.claim("me", LEASE)) is not None:
            claimed.append(job.id)

    def steer_all(*actions):
        together.wait()
        for number in numbers:
            for action in actions:
                getattr(stores.steering, action)(job_id(number))

    with ThreadPoolExecutor(4) as threads:
        works = [threads.submit(claim_all) for _ in range(2)]
        works += [threads.submit(steer_all, "pause", "resume") for _ in range(2)]
        for work in works:
            work.result(60)
    claim_all_left = []
    while (job := stores.claims.claim("me", LEASE)) is not None:
        claim_all_left.append(job.id)

    assert sorted(claimed + claim_all_left) == [job_id(number) for number in numbers]
    for number in numbers:
        job = stores.queries.get(job_id(number))
        assert (job.state, job.pause_requested_at) == (JobState.RUNNING, None)
