"""Old jobs are removed with all that belongs to them, and no other is touched."""

from datetime import timedelta

import pytest

from precache.adapters.jobs_sql import SqlJobPurge
from precache.core.errors import JobNotFound
from precache.core.jobs import JobState, Outcome, TaskResult
from tests.contract.job_values import DEBIAN, NOW, SECOND, asked, claim, ended, finish, held, job_id, new_job

DAY = timedelta(days=1)


def test_jobs_that_ended_long_ago_are_removed_with_their_tasks(stores):
    end(stores, 1, NOW - DAY)
    end(stores, 2, NOW - DAY + SECOND)
    stores.clock.set(NOW)

    counted = stores.purge.count_ended(DAY)
    removed = [stores.purge.purge(DAY, 10), stores.purge.purge(DAY, 10)]

    assert (counted, removed) == (1, [1, 0])
    assert [job.id for job in stores.queries.list_jobs()] == [job_id(2)]
    assert len(stores.queries.list_tasks(job_id(2))) == 2
    with pytest.raises(JobNotFound):
        stores.queries.list_tasks(job_id(1))


def test_jobs_that_have_not_ended_stay_however_old_they_are(stores):
    for number in (1, 2, 3, 4, 5):
        stores.intake.add(new_job(number, created_at=NOW - 900 * DAY + number * SECOND))
    claim(stores, at=NOW - 900 * DAY)
    asked(stores, "cmp-1", DEBIAN)
    stores.steering.pause(job_id(3))
    stores.steering.cancel(job_id(4))
    stores.steering.retry(job_id(4))
    claim(stores, "other", skip=[job_id(2)], at=NOW - 900 * DAY)
    waiting = {"state": JobState.WAITING, "due_at": NOW + DAY, "reason": "its window is closed"}
    stores.claims.release(held(stores, 4, "other"), **waiting)
    stores.clock.set(NOW)
    assert {job.state for job in stores.queries.list_jobs()} == {state for state in JobState if not state.is_final}

    assert stores.purge.count_ended(DAY) == 0
    assert stores.purge.purge(timedelta(), 10) == 0
    assert len(stores.queries.list_jobs()) == 5


def test_no_more_are_removed_at_once_than_was_asked_for(stores):
    for number in (1, 2, 3):
        end(stores, number, NOW - 2 * DAY)
    stores.clock.set(NOW)

    assert [stores.purge.purge(DAY, 2) for _ in range(3)] == [2, 1, 0]


def test_jobs_with_many_tasks_are_removed_in_several_transactions(stores):
    if stores.database is None:
        pytest.skip("no database")
    for number in (1, 2, 3):
        end(stores, number, NOW - 2 * DAY)
    stores.clock.set(NOW)

    def removed(most_tasks):
        return SqlJobPurge(database=stores.database, most_tasks=most_tasks).purge(DAY, 10)

    assert [removed(most_tasks=1), removed(most_tasks=4), removed(most_tasks=4)] == [1, 2, 0]


def test_a_job_can_be_stored_after_others_were_removed(stores):
    end(stores, 1, NOW - DAY)
    end(stores, 2, NOW)
    stores.purge.purge(DAY, 10)

    stores.intake.add(new_job(3))

    assert [job.id for job in stores.queries.list_jobs()] == [job_id(3), job_id(2)]


def end(stores, number, when):
    """Have a job end at that instant."""
    stores.intake.add(new_job(number, hosts=["cmp-1", "cmp-2"], images=[DEBIAN], created_at=NOW - 3 * DAY))
    claim(stores, at=when)
    for host in ("cmp-1", "cmp-2"):
        ended(stores, host, TaskResult(DEBIAN, Outcome.CACHED), job=number)
    finish(stores, JobState.SUCCEEDED, when, job=number)
