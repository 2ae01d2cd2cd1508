"""When a planned job begins and ends."""

from datetime import UTC, datetime, time, timedelta

import pytest

from precache.core.job_options import Day, JobOptions, Window
from precache.rules.plan_times import begins_at, ends_at, meets_deadline

MONDAY_NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NIGHT = Window(time(2), time(5))
NIGHT_OF_TUESDAY = datetime(2026, 12, 1, 2, tzinfo=UTC)
SATURDAYS = Window(time(2), time(5), days=(Day.SAT,))


@pytest.mark.parametrize(
    ("options", "begin"),
    [
        (JobOptions(), MONDAY_NOON),
        (JobOptions(not_before=MONDAY_NOON - HOUR), MONDAY_NOON),
        (JobOptions(not_before=MONDAY_NOON + HOUR), MONDAY_NOON + HOUR),
        (JobOptions(window=NIGHT), NIGHT_OF_TUESDAY),
        (JobOptions(window=Window(time(11), time(13))), MONDAY_NOON),
        (JobOptions(window=NIGHT, not_before=NIGHT_OF_TUESDAY + HOUR), NIGHT_OF_TUESDAY + HOUR),
        (JobOptions(deadline=MONDAY_NOON - HOUR), MONDAY_NOON),
    ],
)
def test_a_job_begins_as_soon_as_it_may(options, begin):
    assert begins_at(options, MONDAY_NOON) == begin


@pytest.mark.parametrize(
    ("options", "hours", "end"),
    [
        (JobOptions(), 2, MONDAY_NOON + 2 * HOUR),
        (JobOptions(jitter_s=60), 2, MONDAY_NOON + 2 * HOUR + timedelta(minutes=1)),
        (JobOptions(window=NIGHT), 3, NIGHT_OF_TUESDAY + 3 * HOUR),
        (JobOptions(window=NIGHT), 4, NIGHT_OF_TUESDAY + 25 * HOUR),
        (JobOptions(window=NIGHT), 7, NIGHT_OF_TUESDAY + 49 * HOUR),
        (JobOptions(window=SATURDAYS), 10_000, None),
        (JobOptions(), 10**9, None),
    ],
)
def test_work_rests_while_the_window_is_closed(options, hours, end):
    begin = begins_at(options, MONDAY_NOON)

    assert ends_at(options, begin, hours * 3600) == end


@pytest.mark.parametrize(
    ("deadline", "seconds", "is_met"),
    [
        (None, 3600, None),
        (None, None, None),
        (MONDAY_NOON + HOUR, 3600, True),
        (MONDAY_NOON + HOUR, 3601, False),
        (MONDAY_NOON + HOUR, None, None),
        (MONDAY_NOON, None, False),
        (MONDAY_NOON + HOUR, 10**15, False),
    ],
)
def test_a_deadline_is_met_if_the_work_ends_before_it(deadline, seconds, is_met):
    assert meets_deadline(JobOptions(deadline=deadline), MONDAY_NOON, seconds) is is_met
