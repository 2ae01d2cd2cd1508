"""What every job store does with a job that waits: it is released with a time, and claimed again when it is due."""

from __future__ import annotations

import pytest

from precache.core.errors import IllegalTransition
from precache.core.job_changes import JobChange
from precache.core.job_options import JobOptions
from precache.core.jobs import HostPutBack, JobState, Outcome, TaskResult, TaskState
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

WAITING = JobState.WAITING


def release(stores, state=WAITING, *, due_at=None, reason="", at=NOW, owner="me", revision=None):
    stores.clock.set(at)
    claim = held(stores, owner=owner)
    stores.claims.release(claim, state=state, due_at=due_at, reason=reason, revision=revision)
    return stores.queries.get(job_id(1))


def test_a_waiting_job_is_claimed_when_it_is_due(stores):
    stores.intake.add(new_job())
    claim(stores)

    job = release(stores, due_at=NOW + 60 * SECOND, reason="waits until it is night")
    too_early = claim(stores, at=NOW + 59 * SECOND)
    in_time = claim(stores, "other", NOW + 60 * SECOND)

    assert (job.state, job.due_at, job.reason) == (WAITING, NOW + 60 * SECOND, "waits until it is night")
    assert (job.lease_owner, job.lease_until) == (None, None)
    assert too_early is None
    assert (in_time.state, in_time.lease_owner, in_time.lease_token) == (JobState.RUNNING, "other", 2)
    assert (in_time.due_at, in_time.reason) == (None, "")


def test_a_waiting_job_waits_at_least_a_second(stores):
    stores.intake.add(new_job())
    claim(stores)

    job = release(stores, due_at=NOW - SECOND)

    assert job.due_at == NOW + SECOND
    assert claim(stores) is None


def test_a_long_reason_is_cut_to_one_line(stores):
    stores.intake.add(new_job())
    claim(stores)

    job = release(stores, reason="one\ntwo " * 99)

    assert len(job.reason) == 255
    assert "\n" not in job.reason


def test_a_job_whose_hosts_were_not_called_counts_as_never_started(stores):
    stores.intake.add(new_job())
    claim(stores)
    waiting = release(stores)
    later = claim(stores, at=NOW + LEASE)

    assert (waiting.started_at, later.started_at) == (None, NOW + LEASE)


@pytest.mark.parametrize(
    "step",
    [
        lambda stores: asked(stores, "cmp-2", UBUNTU),
        lambda stores: ended(stores, "cmp-2", TaskResult(UBUNTU, Outcome.SKIPPED)),
    ],
)
def test_a_job_that_has_begun_keeps_the_time_of_its_start(stores, step):
    stores.intake.add(new_job())
    claim(stores)
    step(stores)

    job = release(stores, at=NOW + SECOND)

    assert job.started_at == NOW
    assert TaskState.RUNNING not in {task.state for task in stores.queries.list_tasks(job_id(1))}


@pytest.mark.parametrize("state", [WAITING, JobState.PAUSED])
def test_a_cancelled_job_does_not_wait(stores, state):
    stores.intake.add(new_job())
    claim(stores)
    cancel(stores)

    job = release(stores, state, due_at=NOW + 60 * SECOND)

    assert (job.state, job.due_at) == (JobState.QUEUED, None)
    assert claim(stores).cancel_requested_at == NOW


def test_a_job_that_is_no_longer_paused_is_queued(stores):
    stores.intake.add(new_job())
    claim(stores)

    job = release(stores, JobState.PAUSED, due_at=NOW + 60 * SECOND)

    assert (job.state, job.due_at) == (JobState.QUEUED, None)


@pytest.mark.parametrize(
    ("wanted", "due_at", "state"),
    [
        (JobState.PAUSED, None, JobState.PAUSED),
        (JobState.PAUSED, NOW + 60 * SECOND, JobState.PAUSED),
        (WAITING, NOW + 60 * SECOND, JobState.PAUSED),
        (JobState.QUEUED, None, JobState.QUEUED),
    ],
)
def test_a_job_that_an_operator_has_paused_is_paused_unless_its_hosts_must_be_told_first(stores, wanted, due_at, state):
    stores.intake.add(new_job())
    claim(stores)
    asked(stores, "cmp-2", UBUNTU)
    stores.steering.pause(job_id(1))

    job = release(stores, wanted, due_at=due_at)

    assert (job.state, job.due_at) == (state, due_at)
    found = claim(stores, at=NOW + LEASE)
    assert (found is None) is (state is JobState.PAUSED)
    if due_at is not None:
        assert claim(stores, at=due_at).pause_requested_at == NOW


@pytest.mark.parametrize("state", [WAITING, JobState.PAUSED])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_job_that_was_changed_since_is_queued_because_its_time_may_be_another_one(stores, state, is_known):
    stores.intake.add(new_job())
    claimed = claim(stores)
    asked(stores, "cmp-2", UBUNTU)
    if state is JobState.PAUSED:
        stores.steering.pause(job_id(1))
    changed = stores.steering.change(job_id(1), JobChange({"parallelism": 3}))

    job = release(stores, state, due_at=NOW + LEASE, revision=(changed if is_known else claimed).revision)

    assert (job.state, job.due_at) == ((state, NOW + LEASE) if is_known else (JobState.QUEUED, None))


@pytest.mark.parametrize(
    ("end_of_claim", "may_have_calls"),
    [
        (lambda stores: release(stores), False),
        (lambda stores: (stores.steering.pause(job_id(1)), release(stores, JobState.PAUSED, due_at=NOW)), False),
        (lambda stores: (cancel(stores), release(stores)), False),
        (lambda stores: release(stores, JobState.QUEUED), True),
        (lambda stores: stores.clock.set(NOW + LEASE), True),
        (lambda stores: stores.claims.release_all(), False),
        (lambda stores: (finish(stores, JobState.FAILED), stores.steering.retry(job_id(1))), False),
    ],
    ids=["waits", "paused", "cancelled", "queued", "dead", "alone", "retried"],
)
def test_hosts_may_be_at_work_after_a_claim_that_did_not_stop_them(stores, end_of_claim, may_have_calls):
    stores.intake.add(new_job())
    first = claim(stores)
    end_of_claim(stores)

    second = claim(stores, "other", NOW + LEASE)

    assert (first.may_have_calls, second.may_have_calls) == (False, may_have_calls)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.CANCELLED])
def test_a_job_is_released_in_no_state_that_is_not_before_a_run(stores, state):
    stores.intake.add(new_job())
    claim(stores)

    with pytest.raises(IllegalTransition):
        release(stores, state)

    assert stores.queries.get(job_id(1)).state is JobState.RUNNING


def test_the_job_with_the_highest_priority_is_claimed_first_and_then_the_oldest(stores):
    for number, priority, age in ((1, 50, 3), (2, 80, 1), (3, 80, 2), (4, 10, 9)):
        options = JobOptions(priority=priority)
        stores.intake.add(new_job(number, created_at=NOW - age * SECOND, options=options))

    assert [claim(stores).id for _ in range(4)] == [job_id(number) for number in (3, 2, 1, 4)]


def test_a_finished_job_has_its_reason(stores):
    stores.intake.add(new_job())
    claim(stores)
    stores.clock.set(NOW)

    job = stores.claims.finish(held(stores), JobState.EXPIRED, "1 of 2 hosts is ready")

    assert job == stores.queries.get(job_id(1))
    assert (job.state, job.reason, job.due_at) == (JobState.EXPIRED, "1 of 2 hosts is ready", None)


class TestATaskThatIsPutBack:
    @pytest.fixture(autouse=True)
    def running(self, stores):
        stores.intake.add(new_job())
        claim(stores)
        asked(stores, "cmp-2", UBUNTU, DEBIAN)

    def put_back(self, stores, kept, **fields):
        stores.claims.record(held(stores), [HostPutBack("cmp-2", kept, NOW + SECOND, **fields)])
        return stores.queries.list_tasks(job_id(1))[:2]

    def test_waits_with_what_its_host_has_kept(self, stores):
        paused, other = self.put_back(stores, {UBUNTU: 7})

        assert (paused.state, paused.bytes_done, paused.attempts, paused.failures) == (TaskState.WAITING, 7, 1, 0)
        assert other.state is TaskState.RUNNING

    def test_keeps_that_while_the_job_is_paused_and_claimed_again(self, stores):
        self.put_back(stores, {UBUNTU: 7, DEBIAN: 0})
        release(stores)
        claim(stores, at=NOW + LEASE)

        assert [task.bytes_done for task in stores.queries.list_tasks(job_id(1))[:2]] == [7, 0]

    def test_counts_its_failures_which_the_next_conductor_knows(self, stores):
        failed, _ = self.put_back(stores, {UBUNTU: 0}, is_failure=True, reason="it broke")
        asked(stores, "cmp-2", UBUNTU, at=NOW + 9 * SECOND)
        again, _ = self.put_back(stores, {UBUNTU: 0}, is_failure=True, reason="it broke again")

        remaining = stores.claims.remaining(claim(stores, "heir", NOW + 9 * LEASE).claim)

        assert (failed.state, failed.failures, failed.reason) == (TaskState.WAITING, 1, "it broke")
        assert (again.failures, again.attempts, again.reason) == (2, 2, "it broke again")
        assert remaining.failures == {("cmp-2", UBUNTU): 2}
        assert remaining.images["cmp-2"] == (UBUNTU, DEBIAN)

    def test_is_not_put_back_after_it_ended(self, stores):
        ended(stores, "cmp-2", TaskResult(UBUNTU, Outcome.CACHED))

        task, _ = self.put_back(stores, {UBUNTU: 3}, is_failure=True)

        assert (task.state, task.outcome, task.failures) == (TaskState.ENDED, Outcome.CACHED, 0)


def test_a_finished_job_cannot_be_released(stores):
    stores.intake.add(new_job())
    mine = claim(stores).claim
    finish(stores, JobState.SUCCEEDED)

    with pytest.raises(Exception, match="no longer holds"):
        stores.claims.release(mine, state=WAITING)
