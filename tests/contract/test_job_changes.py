"""What every job store does for an operator who changes the options of a job."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from precache.adapters.sql.tables import jobs
from precache.core.errors import InvalidOption, JobEnded, JobNotFound, WindowNeverOpens
from precache.core.job_changes import JobChange
from precache.core.job_options import JobOptions, Window
from precache.core.jobs import JobState
from precache.core.orders import ImageOrder, OrderOptions
from precache.ports.job_store import Steering
from tests.contract.job_values import DEBIAN, NOW, SECOND, UBUNTU, claim, finish, held, job_id, new_job

HOUR = timedelta(hours=1)
NIGHT = {"from": "22:00", "to": "23:00"}
OPENING = NOW.replace(hour=22, minute=0, second=0, microsecond=0)
WAITS = {"due_at": OPENING, "reason": "Its window opens.", "options": JobOptions(window=Window.read(NIGHT))}


def change(stores, at=NOW, **options):
    """Change options at an instant of the store's clock; check that the job is stored as it is returned."""
    stores.clock.set(at)
    changed = stores.steering.change(job_id(1), JobChange(options))
    assert stores.queries.get(job_id(1)) == changed
    return changed


def test_options_change_and_the_others_stay(stores):
    stores.intake.add(new_job(options=JobOptions(priority=80, parallelism=3, retries=2)))

    job = change(stores, priority=None, parallelism=7, deadline="2026-03-01T20:00:00Z")

    assert job.options == JobOptions(
        parallelism=7, retries=2, deadline=NOW.replace(hour=20, minute=0, second=0, microsecond=0)
    )
    assert (job.state, job.revision) == (JobState.QUEUED, 1)


def test_each_change_is_a_revision_that_the_conductor_sees(stores):
    stores.intake.add(new_job())
    mine = claim(stores).claim

    change(stores, parallelism=7)
    job = change(stores, parallelism=8)

    assert (job.state, job.claim) == (JobState.RUNNING, mine)
    assert stores.leases.steering([mine]) == {mine: Steering(None, 2)}


@pytest.mark.parametrize("options", [{}, {"parallelism": 7}, {"priority": 50}, {"window": None}])
def test_a_change_of_nothing_is_no_revision(stores, options):
    before = stores.intake.add(new_job(options=JobOptions(parallelism=7)))

    assert change(stores, **options) == before


def test_a_rate_limit_applies_to_all_images(stores):
    orders = (ImageOrder(UBUNTU), ImageOrder(DEBIAN, OrderOptions(rate_limit_bytes_per_s=9)))
    stores.intake.add(new_job(orders=orders))

    job = change(stores, rate_limit_bytes_per_s=7)

    assert [order.options.rate_limit_bytes_per_s for order in job.orders] == [7, 7]
    assert (change(stores, rate_limit_bytes_per_s=None).orders, job.revision) == (
        (ImageOrder(UBUNTU), ImageOrder(DEBIAN)),
        1,
    )


def test_a_job_that_never_started_waits_for_its_new_window(stores):
    stores.intake.add(new_job())

    job = change(stores, window=NIGHT)

    assert (job.state, job.due_at, job.reason) == (
        JobState.WAITING,
        OPENING,
        "Its window opens at 2026-03-01T22:00:00Z.",
    )


def test_a_waiting_job_without_a_window_is_queued(stores):
    stores.intake.add(new_job(**WAITS))

    job = change(stores, window=None)

    assert (job.state, job.due_at, job.reason) == (JobState.QUEUED, None, "")
    assert claim(stores).id == job_id(1)


def test_a_waiting_job_waits_as_before_if_its_schedule_stays(stores):
    stores.intake.add(new_job(**WAITS))

    job = change(stores, parallelism=7)

    assert (job.state, job.due_at, job.reason) == (JobState.WAITING, OPENING, "Its window opens.")


def test_a_queued_job_that_had_begun_stays_queued_for_its_conductor(stores):
    stores.intake.add(new_job())
    claim(stores)
    stores.claims.release(held(stores))

    assert change(stores, window=NIGHT).state is JobState.QUEUED


def test_a_paused_job_is_due_at_its_new_deadline(stores):
    stores.intake.add(new_job())
    stores.steering.pause(job_id(1))

    assert change(stores, deadline="2026-03-01T20:00:00Z").due_at is not None
    assert change(stores, deadline=None).due_at is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"parallelism": 0}, InvalidOption),
        ({"rate_limit_bytes_per_s": 0}, InvalidOption),
        ({"deadline": "2026-03-01T12:00:00Z"}, InvalidOption),
        ({"window": NIGHT, "deadline": "2026-03-01T21:00:00Z"}, WindowNeverOpens),
    ],
)
def test_an_invalid_change_changes_nothing(stores, options, error):
    before = stores.intake.add(new_job())

    with pytest.raises(error):
        change(stores, **options)

    assert stores.queries.get(job_id(1)) == before


def test_a_change_is_checked_with_the_options_that_stay(stores):
    stores.intake.add(new_job(options=JobOptions(deadline=NOW + HOUR)))

    with pytest.raises(WindowNeverOpens):
        change(stores, window=NIGHT)


def test_a_deadline_that_has_passed_hinders_no_other_change(stores):
    stores.intake.add(new_job(options=JobOptions(deadline=NOW + SECOND)))

    assert change(stores, NOW + HOUR, parallelism=7).options.parallelism == 7


def test_a_job_that_has_ended_is_not_changed(stores):
    stores.intake.add(new_job())
    claim(stores)
    finish(stores, JobState.FAILED)

    with pytest.raises(JobEnded, match="nothing of it is left to change"):
        change(stores, parallelism=7)


def test_an_unknown_job_is_not_found(stores):
    with pytest.raises(JobNotFound):
        change(stores, parallelism=7)


def test_a_job_of_the_previous_release_is_changed(database_stores):
    stores = database_stores
    stores.intake.add(new_job())
    with stores.database.write() as connection:
        connection.execute(update(jobs).values(orders=None, options=None, target=None, aggregate_metadata=None))

    job = change(stores, rate_limit_bytes_per_s=7, parallelism=3)

    assert [order.options.rate_limit_bytes_per_s for order in job.orders] == [7, 7]
    assert (job.images, job.options.parallelism, job.revision) == ((UBUNTU, DEBIAN), 3, 1)
