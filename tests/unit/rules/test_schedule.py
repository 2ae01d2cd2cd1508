"""When a job may run, and which schedules are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from precache.core.errors import InvalidOption, WindowNeverOpens
from precache.core.job_options import JobOptions
from precache.rules.schedule import Start, check_schedule, earlier, next_start

NOW = datetime(2026, 12, 4, 12, tzinfo=UTC)  # a Friday
NIGHT = {"from": "02:00", "to": "05:00", "time_zone": "Europe/Paris"}


def options(**fields):
    return JobOptions.read(fields)


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({}, None),
        ({"not_before": "2026-12-04T11:00:00Z"}, None),
        ({"not_before": "2026-12-04T12:00:00Z"}, None),
        (
            {"not_before": "2026-12-04T20:00:00Z"},
            ("2026-12-04T20:00:00Z", "It may not begin before 2026-12-04T20:00:00Z."),
        ),
        ({"window": {"from": "08:00", "to": "17:00"}}, None),
        ({"window": NIGHT}, ("2026-12-05T01:00:00Z", "Its window opens at 2026-12-05T01:00:00Z.")),
        # The window is open at `not_before`.
        (
            {"window": NIGHT, "not_before": "2026-12-07T02:30:00Z"},
            ("2026-12-07T02:30:00Z", "It may not begin before 2026-12-07T02:30:00Z."),
        ),
        (
            {"window": NIGHT, "not_before": "2026-12-07T04:00:00Z"},
            ("2026-12-08T01:00:00Z", "Its window opens at 2026-12-08T01:00:00Z."),
        ),
    ],
)
def test_a_job_begins_in_its_window_and_not_before_its_time(fields, start):
    expected = start and Start(datetime.fromisoformat(start[0]), start[1])

    assert next_start(options(**fields), NOW) == expected


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"deadline": "2026-12-04T12:00:00Z"}, InvalidOption, "deadline must be later than now, 2026-12-04T12:00:00Z"),
        ({"deadline": "0001-01-01T00:00:00Z"}, InvalidOption, "later than now, .*, not '0001-01-01T00:00:00Z'"),
        ({"deadline": "2036-12-05T12:00:01Z"}, InvalidOption, "deadline must be at most ten years ahead"),
        ({"not_before": "9999-12-31T23:59:59Z", "window": NIGHT}, InvalidOption, "not_before must be at most ten"),
        (
            {"not_before": "2026-12-05T04:00:00Z", "deadline": "2026-12-05T04:00:00Z"},
            InvalidOption,
            "not_before must be before the deadline, 2026-12-05T04:00:00Z",
        ),
        (
            {"window": {**NIGHT, "days": ["mon"]}, "deadline": "2026-12-07T01:00:00Z"},
            WindowNeverOpens,
            "before the deadline, 2026-12-07T01:00:00Z: its next opening is at 2026-12-07T01:00:00Z",
        ),
        (
            {"window": NIGHT, "not_before": "2026-12-05T04:00:00Z", "deadline": "2026-12-06T00:59:00Z"},
            WindowNeverOpens,
            "its next opening is at 2026-12-06T01:00:00Z",
        ),
    ],
)
def test_a_job_that_could_never_run_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        check_schedule(options(**fields), NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"deadline": "2026-12-04T12:00:01Z"},
        {"not_before": "2020-01-01T00:00:00Z"},
        {"window": {**NIGHT, "days": ["mon"]}, "deadline": "2026-12-07T01:00:01Z"},
    ],
)
def test_a_job_that_can_run_for_a_second_is_accepted(fields):
    check_schedule(options(**fields), NOW)


def test_the_earlier_time_is_one_that_is_given():
    before = NOW - timedelta(hours=1)

    assert (earlier(None, None), earlier(NOW, None), earlier(NOW, before)) == (None, NOW, before)
