"""What every job store does for an operator who cancels a job: at once, or through the conductor that works on it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from precache.core.errors import IllegalTransition, JobEnded, JobNotFound
from precache.core.jobs import Claim, JobState, Outcome, Phase, TaskProgress, TaskResult, TaskState
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

FINAL = [state for state in JobState if state.is_final]
OTHER_ENDS = [state for state in FINAL if state is not JobState.CANCELLED]


def everything(stores, job=1):
    return stores.queries.get(job_id(job)), stores.queries.list_tasks(job_id(job))


class TestAJobThatNeverStarted:
    def test_ends_at_once_with_all_its_tasks(self, stores):
        stores.intake.add(new_job())

        job = cancel(stores, NOW + SECOND)

        assert job == stores.queries.get(job_id(1))
        assert (job.state, job.cancel_requested_at, job.finished_at) == (
            JobState.CANCELLED,
            NOW + SECOND,
            NOW + SECOND,
        )
        assert (job.counts, job.started_at, job.lease_token) == ({Outcome.CANCELLED: 4}, None, 0)
        tasks = stores.queries.list_tasks(job_id(1))
        assert {(task.state, task.outcome, task.reason) for task in tasks} == {(TaskState.ENDED, Outcome.CANCELLED, "")}
        assert {(task.started_at, task.finished_at, task.attempts) for task in tasks} == {(None, NOW + SECOND, 0)}

    def test_ends_also_without_a_single_task(self, stores):
        stores.intake.add(new_job(hosts=()))

        job = cancel(stores)

        assert (job.state, job.counts) == (JobState.CANCELLED, {})

    def test_is_never_claimed(self, stores):
        stores.intake.add(new_job())
        cancel(stores)

        assert claim(stores, at=NOW + 9 * LEASE) is None

    def test_leaves_other_jobs_alone(self, stores):
        for number in (1, 2):
            stores.intake.add(new_job(number))
        before = everything(stores, 2)

        cancel(stores)

        assert everything(stores, 2) == before


class TestAJobThatRuns:
    def test_continues_with_the_request(self, stores):
        stores.intake.add(new_job())
        claim(stores)
        asked(stores, "cmp-2", UBUNTU)
        job_before, tasks_before = everything(stores)

        job = cancel(stores, NOW + SECOND)

        assert job.cancel_requested_at == NOW + SECOND
        assert (job.state, job.finished_at, job.claim) == (JobState.RUNNING, None, job_before.claim)
        assert everything(stores) == (job, tasks_before)

    def test_still_records_what_its_hosts_answer(self, stores):
        stores.intake.add(new_job())
        claim(stores)
        asked(stores, "cmp-2", UBUNTU)
        cancel(stores)

        stores.progress.note([TaskProgress(job_id(1), "cmp-2", UBUNTU, Phase.DOWNLOADING, 5, 9, "cell1")])
        ended(stores, "cmp-2", TaskResult(UBUNTU, Outcome.CANCELLED, 7))

        task = stores.queries.list_tasks(job_id(1))[0]
        assert (task.state, task.outcome, task.bytes_done) == (TaskState.ENDED, Outcome.CANCELLED, 7)

    @pytest.mark.parametrize("state", FINAL)
    def test_finishes_as_cancelled_whatever_its_conductor_says(self, stores, state):
        stores.intake.add(new_job(hosts=["cmp-1"], images=[DEBIAN]))
        claim(stores)
        ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED))
        cancel(stores)

        job = finish(stores, state, NOW + SECOND)

        assert job == stores.queries.get(job_id(1))
        assert (job.state, job.finished_at, job.lease_owner) == (JobState.CANCELLED, NOW + SECOND, None)
        assert job.counts == {Outcome.CACHED: 1}

    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
    def test_finishes_in_no_state_that_is_not_final(self, stores, state):
        stores.intake.add(new_job())
        claim(stores)
        cancel(stores)
        before = everything(stores)

        with pytest.raises(IllegalTransition):
            finish(stores, state)

        assert everything(stores) == before

    def test_finishes_as_its_conductor_says_without_a_request(self, stores):
        for number in (1, 2):
            stores.intake.add(new_job(number))
            claim(stores)
        cancel(stores, job=2)

        assert finish(stores, JobState.FAILED).state is JobState.FAILED

    def test_keeps_the_request_when_it_is_released_and_taken_over(self, stores):
        stores.intake.add(new_job())
        claim(stores)
        cancel(stores)
        stores.claims.release(held(stores))

        again = claim(stores, "second", NOW + SECOND)
        taken_over = claim(stores, "third", NOW + SECOND + LEASE)

        assert (again.cancel_requested_at, taken_over.cancel_requested_at) == (NOW, NOW)


def test_a_queued_job_that_had_run_before_goes_to_a_conductor_with_the_request(stores):
    stores.intake.add(new_job())
    claim(stores)
    asked(stores, "cmp-2", UBUNTU)
    stores.claims.release(held(stores))

    job = cancel(stores, NOW + SECOND)

    # A host may still work for it: only a conductor can stop that.
    assert (job.state, job.cancel_requested_at, job.finished_at) == (JobState.QUEUED, NOW + SECOND, None)
    assert {task.state for task in stores.queries.list_tasks(job_id(1))} == {TaskState.WAITING}
    assert claim(stores).cancel_requested_at == NOW + SECOND


@pytest.mark.parametrize("steps", [[], [claim], [claim, lambda stores: stores.claims.release(held(stores))]])
def test_a_second_request_changes_nothing(stores, steps):
    stores.intake.add(new_job())
    for step in steps:
        step(stores)
    first = cancel(stores, NOW + SECOND)
    before = everything(stores)

    second = cancel(stores, NOW + LEASE)

    assert second == first
    assert everything(stores) == before


def test_a_cancelled_job_is_returned_unchanged(stores):
    stores.intake.add(new_job())
    claim(stores)
    cancel(stores)
    finished = finish(stores, JobState.CANCELLED, NOW + SECOND)

    assert cancel(stores, NOW + LEASE) == finished


@pytest.mark.parametrize("state", OTHER_ENDS)
def test_a_job_that_ended_otherwise_is_not_cancelled_any_more(stores, state):
    stores.intake.add(new_job())
    claim(stores)
    finish(stores, state)
    before = everything(stores)

    with pytest.raises(JobEnded, match=f"Job {job_id(1)} has ended as {state}: nothing"):
        cancel(stores)

    assert everything(stores) == before


def test_an_unknown_job_is_not_found(stores):
    with pytest.raises(JobNotFound):
        cancel(stores)


def stops(stores, claims):
    """Return the reasons to stop these jobs."""
    return {claim: steering.stop for claim, steering in stores.leases.steering(claims).items()}


class TestSteering:
    def test_is_that_of_the_jobs_that_are_held(self, stores):
        for number in (1, 2, 3, 4):
            stores.intake.add(new_job(number, created_at=NOW + number * SECOND))
        mine = [claim(stores).claim for _ in range(3)]
        cancel(stores, job=2)
        cancel(stores, job=3)
        claim(stores, "other")

        assert stores.leases.steering(mine[:2]) == {
            mine[0]: Steering(None, 0),
            mine[1]: Steering(StopReason.CANCELLED, 0),
        }
        assert stores.leases.steering([]) == {}

    def test_is_returned_again_until_the_job_ends(self, stores):
        stores.intake.add(new_job())
        mine = claim(stores).claim
        cancel(stores)

        seen = [stops(stores, [mine]) for _ in range(2)]
        finish(stores, JobState.CANCELLED)

        assert seen == [{mine: StopReason.CANCELLED}] * 2
        assert stores.leases.steering([mine]) == {}

    def test_leaves_out_a_claim_that_is_lost_or_unknown(self, stores):
        stores.intake.add(new_job())
        lost = claim(stores, "first").claim
        cancel(stores)
        holder = claim(stores, "second", NOW + LEASE).claim

        assert stops(stores, [lost, holder, Claim(job_id(9), "second", 1)]) == {holder: StopReason.CANCELLED}

    def test_is_found_for_more_jobs_than_one_statement_takes(self, stores):
        for number in range(120):
            stores.intake.add(new_job(number, hosts=["cmp-1"], images=[DEBIAN], created_at=NOW + number * SECOND))
        mine = [claim(stores).claim for _ in range(120)]
        cancel(stores, job=0)
        cancel(stores, job=119)

        found = stops(stores, mine)

        assert list(found) == mine
        assert [claim for claim, stop in found.items() if stop] == [mine[0], mine[119]]


def test_jobs_that_are_cancelled_and_claimed_at_once_end_or_run_with_the_request(stores):
    """Cancelled by two, claimed by two: no job is lost between them, and none is both ended and claimed."""
    numbers = range(1, 31)
    for number in numbers:
        stores.intake.add(new_job(number, hosts=["cmp-1"], images=[DEBIAN], created_at=NOW + number * SECOND))
    together = threading.Barrier(4)
    claimed = []

    def claim_all(owner):
        together.wait()
        while (job := stores.claims.claim(owner, LEASE)) is not None:
            claimed.append(job.id)

    def cancel_all(_):
        together.wait()
        for number in numbers:
            stores.steering.cancel(job_id(number))

    with ThreadPoolExecutor(4) as threads:
        works = [threads.submit(work, owner) for work in (claim_all, cancel_all) for owner in ("first", "second")]
        for work in works:
            work.result(60)

    for number in numbers:
        job, (task,) = everything(stores, number)
        assert job.cancel_requested_at is not None
        is_claimed = job.id in claimed
        assert job.state is (JobState.RUNNING if is_claimed else JobState.CANCELLED)
        assert task.outcome is (None if is_claimed else Outcome.CANCELLED)
    assert len(claimed) == len(set(claimed))
