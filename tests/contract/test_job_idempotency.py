"""Requests with one idempotency key make one job, whenever and however often they come."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from precache.core.errors import IdempotencyKeyReused, JobExists
from precache.core.idempotency import IdempotencyKey
from precache.core.jobs import JobState, Outcome, TaskResult
from tests.contract.job_values import DEBIAN, NOW, asked, claim, ended, finish, job_id, new_job

THREADS = 8
KEY = IdempotencyKey("1" * 64, "2" * 64)
OTHER_BODY = IdempotencyKey(KEY.digest, "3" * 64)
OTHER_KEY = IdempotencyKey("4" * 64, KEY.body_digest)


def keyed(number=1, key=KEY, **fields):
    return new_job(number, idempotency_key=key, **fields)


def test_a_key_that_no_job_has_finds_none(stores):
    stores.intake.add(new_job())
    stores.intake.add(keyed(2, OTHER_KEY))

    assert stores.intake.find_repeated(KEY) is None


def test_a_repeated_request_gets_the_job_as_it_is_now(stores):
    stores.intake.add(keyed(hosts=["cmp-1"], images=[DEBIAN]))
    running = claim(stores)

    assert stores.intake.find_repeated(KEY) == running
    assert stores.intake.add(keyed(2)) == running
    assert [job.id for job in stores.queries.list_jobs()] == [job_id(1)]
    assert len(stores.queries.list_tasks(job_id(1))) == 1


def test_the_same_key_with_another_body_is_refused_and_stores_nothing(stores):
    stores.intake.add(keyed())

    with pytest.raises(IdempotencyKeyReused, match=job_id(1)):
        stores.intake.find_repeated(OTHER_BODY)
    with pytest.raises(IdempotencyKeyReused, match=job_id(1)):
        stores.intake.add(keyed(2, OTHER_BODY))
    assert len(stores.queries.list_jobs()) == 1


def test_another_key_with_the_same_body_is_another_job(stores):
    stores.intake.add(keyed())

    assert stores.intake.add(keyed(2, OTHER_KEY)).id == job_id(2)


def test_jobs_without_a_key_are_never_repetitions(stores):
    stores.intake.add(new_job(1))

    assert stores.intake.add(new_job(2)).id == job_id(2)
    with pytest.raises(JobExists):
        stores.intake.add(new_job(2))


def test_a_known_id_with_a_new_key_is_refused(stores):
    stores.intake.add(keyed())

    with pytest.raises(JobExists):
        stores.intake.add(keyed(1, OTHER_KEY))


def test_requests_at_once_make_one_job(stores):
    together = Barrier(THREADS)

    def add(number):
        together.wait(30)
        return stores.intake.add(keyed(number)).id

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(add, range(1, THREADS + 1)))

    (job,) = stores.queries.list_jobs()
    assert answers == [job.id] * THREADS
    assert len(stores.queries.list_tasks(job.id)) == job.task_count == 4


def test_of_different_requests_at_once_with_one_key_one_is_stored(stores):
    together = Barrier(THREADS)

    def add(number):
        together.wait(30)
        try:
            return stores.intake.add(keyed(number, IdempotencyKey(KEY.digest, str(number) * 64))).id
        except IdempotencyKeyReused as error:
            return error.job

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(add, range(1, THREADS + 1)))

    (job,) = stores.queries.list_jobs()
    assert answers == [job.id] * THREADS


def test_a_key_lives_as_long_as_its_job(stores):
    stores.intake.add(keyed(hosts=["cmp-1"], images=[DEBIAN]))
    claim(stores)
    asked(stores, "cmp-1", DEBIAN)
    ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED))
    finish(stores, JobState.SUCCEEDED)
    ended_one = stores.intake.find_repeated(KEY)

    stores.clock.set(NOW + timedelta(days=2))
    stores.purge.purge(timedelta(days=1), 10)

    assert ended_one.state is JobState.SUCCEEDED
    assert stores.intake.find_repeated(KEY) is None
    assert stores.intake.add(keyed(2)).id == job_id(2)
