"""The state of a job that its conductor has put back."""

from datetime import UTC, datetime, timedelta

import pytest

from precache.core.errors import IllegalTransition
from precache.core.jobs import JobState
from precache.rules.release import due_after_release, state_after_release

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
QUEUED, WAITING, PAUSED = JobState.QUEUED, JobState.WAITING, JobState.PAUSED


@pytest.mark.parametrize(
    ("wanted", "is_cancelled", "is_paused", "is_changed", "state"),
    [
        (QUEUED, False, False, False, QUEUED),
        (QUEUED, False, True, False, QUEUED),
        (QUEUED, True, True, False, QUEUED),
        (WAITING, False, False, False, WAITING),
        (WAITING, False, False, True, QUEUED),
        (WAITING, False, True, False, PAUSED),
        (WAITING, True, True, False, QUEUED),
        (PAUSED, False, True, False, PAUSED),
        (PAUSED, False, True, True, QUEUED),
        (PAUSED, False, False, False, QUEUED),
        (PAUSED, True, True, False, QUEUED),
    ],
)
def test_requests_of_operators_come_before_what_the_conductor_wanted(
    wanted, is_cancelled, is_paused, is_changed, state
):
    released = state_after_release(wanted, is_cancelled=is_cancelled, is_paused=is_paused, is_changed=is_changed)

    assert released is state


@pytest.mark.parametrize("wanted", sorted(set(JobState) - {QUEUED, WAITING, PAUSED}))
def test_a_job_is_released_in_no_other_state(wanted):
    with pytest.raises(IllegalTransition):
        state_after_release(wanted, is_cancelled=False, is_paused=False, is_changed=False)


@pytest.mark.parametrize(
    ("state", "due_at", "due"),
    [
        (QUEUED, NOW + 9 * SECOND, None),
        (WAITING, NOW + 9 * SECOND, NOW + 9 * SECOND),
        (WAITING, NOW - 9 * SECOND, NOW + SECOND),
        (WAITING, None, NOW + SECOND),
        (PAUSED, NOW + 9 * SECOND, NOW + 9 * SECOND),
        (PAUSED, NOW, NOW + SECOND),
        (PAUSED, None, None),
    ],
)
def test_a_job_is_due_no_sooner_than_in_a_second(state, due_at, due):
    assert due_after_release(state, due_at, NOW) == due
