"""Why a job that runs has to stop, and what becomes of it."""

from datetime import UTC, datetime, time, timedelta

import pytest

from precache.core.job_options import JobOptions, Window
from precache.core.jobs import JOB_TRANSITIONS, Job, JobState
from precache.core.stopping import StopReason
from precache.rules.stopping import ENDINGS, reason_to_stop, stop_by_clock, stop_reason

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NIGHT = Window(time(2), time(5))
PASSED, CLOSED = StopReason.DEADLINE_PASSED, StopReason.WINDOW_CLOSED


@pytest.mark.parametrize(
    ("options", "now", "reason"),
    [
        (JobOptions(), NOON, None),
        (JobOptions(not_before=NOON), NOON, None),
        (JobOptions(not_before=NOON), NOON - HOUR, CLOSED),
        (JobOptions(deadline=NOON), NOON - HOUR, None),
        (JobOptions(deadline=NOON), NOON, PASSED),
        (JobOptions(window=NIGHT), NOON, CLOSED),
        (JobOptions(window=NIGHT), NOON + 15 * HOUR, None),
        (JobOptions(window=NIGHT, not_before=NOON + 24 * HOUR), NOON + 15 * HOUR, CLOSED),
        (JobOptions(window=NIGHT, deadline=NOON), NOON, PASSED),
        (JobOptions(not_before=NOON + HOUR, deadline=NOON), NOON, PASSED),
    ],
)
def test_the_clock_stops_a_job(options, now, reason):
    assert stop_by_clock(options, now) is reason


@pytest.mark.parametrize(
    ("cancelled", "paused", "reason"),
    [
        (None, None, None),
        (NOON, None, StopReason.CANCELLED),
        (None, NOON, StopReason.PAUSED),
        (NOON, NOON, "cancelled"),
    ],
)
def test_a_cancel_comes_before_a_pause(cancelled, paused, reason):
    assert stop_reason(cancelled, paused) == reason


@pytest.mark.parametrize(
    ("fields", "options", "reason"),
    [
        ({"cancel_requested_at": NOON}, JobOptions(deadline=NOON), StopReason.CANCELLED),
        ({"pause_requested_at": NOON}, JobOptions(deadline=NOON), PASSED),
        ({"pause_requested_at": NOON}, JobOptions(window=NIGHT), StopReason.PAUSED),
        ({"pause_requested_at": NOON}, JobOptions(), StopReason.PAUSED),
        ({}, JobOptions(window=NIGHT), CLOSED),
        ({}, JobOptions(), None),
    ],
)
def test_what_ends_a_job_comes_before_what_makes_it_wait(fields, options, reason):
    job = Job(
        id="1", orders=(), requested_by="", request_id="", created_at=NOON, task_count=0, options=options, **fields
    )

    assert reason_to_stop(job, NOON) is reason


def test_a_stopped_job_goes_to_a_state_that_a_running_one_may_have():
    assert {ending.state for ending in ENDINGS.values()} <= JOB_TRANSITIONS[JobState.RUNNING]
    assert all(ending.state.is_final is (ending.rest is not None) for ending in ENDINGS.values())
