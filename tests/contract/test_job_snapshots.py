"""What every job store does for those who follow jobs."""

import pytest
from sqlalchemy import event

from precache.core.jobs import JobState, Outcome, Phase, TaskProgress, TaskResult, TaskState
from precache.ports.job_store import JobSnapshot
from tests.contract.job_values import DEBIAN, UBUNTU, asked, claim, ended, finish, job_id, new_job


@pytest.fixture
def followed(stores):
    """Two jobs: of the first a host has one image and fetches the other; the second is queued."""
    stores.intake.add(new_job(1))
    claim(stores)
    stores.intake.add(new_job(2))
    asked(stores, "cmp-1", UBUNTU, DEBIAN)
    ended(stores, "cmp-1", TaskResult(UBUNTU, Outcome.CACHED, 7))
    stores.progress.note([TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.DOWNLOADING, 3, 9, "cell1")])
    return stores


def task(stores, host, image, job=1):
    (found,) = [each for each in stores.queries.list_tasks(job_id(job)) if (each.host, each.image) == (host, image)]
    return found


def test_a_snapshot_has_the_job_and_its_running_tasks_by_place(followed):
    found = followed.snapshots.snapshots([job_id(1), job_id(2), job_id(3)])

    running = task(followed, "cmp-1", DEBIAN)
    assert (running.state, running.bytes_done, running.cell) == (TaskState.RUNNING, 3, "cell1")
    assert found == {
        job_id(1): JobSnapshot(followed.queries.get(job_id(1)), {(1, 1): running}),
        job_id(2): JobSnapshot(followed.queries.get(job_id(2)), {}),
    }


def test_a_snapshot_of_a_job_that_has_ended_has_its_counts(followed):
    results = {"cmp-1": [DEBIAN], "cmp-2": [DEBIAN, UBUNTU]}
    for host, images in results.items():
        ended(followed, host, *(TaskResult(image, Outcome.ERROR, reason="no") for image in images))
    finish(followed, JobState.PARTLY_FAILED)

    (found,) = followed.snapshots.snapshots([job_id(1)]).values()

    assert found.job.state is JobState.PARTLY_FAILED
    assert found.job.counts == {Outcome.CACHED: 1, Outcome.ERROR: 3}
    assert found.running == {}


def test_no_jobs_have_no_snapshots(stores):
    assert stores.snapshots.snapshots([]) == {}


def test_the_places_of_ended_tasks_come_by_outcome(followed):
    ended(followed, "cmp-2", TaskResult(UBUNTU, Outcome.SKIPPED), TaskResult(DEBIAN, Outcome.SKIPPED))

    found = followed.snapshots.ended_places(job_id(1), [Outcome.CACHED, Outcome.SKIPPED, Outcome.ERROR])

    places = {outcome: sorted(of_outcome) for outcome, of_outcome in found.items()}
    assert places == {Outcome.CACHED: [(1, 0)], Outcome.SKIPPED: [(0, 0), (0, 1)], Outcome.ERROR: []}


def test_tasks_are_found_by_their_places(followed):
    found = followed.snapshots.tasks_at(job_id(1), [(1, 0), (0, 1), (7, 0), (0, 7)])

    assert found == {(1, 0): task(followed, "cmp-1", UBUNTU), (0, 1): task(followed, "cmp-2", DEBIAN)}


def test_a_job_that_does_not_exist_has_no_tasks(stores):
    assert stores.snapshots.tasks_at(job_id(9), [(0, 0)]) == {}
    assert stores.snapshots.ended_places(job_id(9), [Outcome.ERROR]) == {Outcome.ERROR: []}


def test_many_jobs_are_followed_with_as_many_statements_as_one(database_stores):
    stores, statements = database_stores, []
    for number in range(1, 21):
        stores.intake.add(new_job(number))
        claim(stores)
        asked(stores, "cmp-1", UBUNTU, job=number)
    event.listen(stores.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def cost(numbers):
        statements.clear()
        found = stores.snapshots.snapshots([job_id(number) for number in numbers])
        assert [len(snapshot.running) for snapshot in found.values()] == [1] * len(numbers)
        return len(statements)

    assert cost(range(1, 21)) == cost([1]) <= 7
