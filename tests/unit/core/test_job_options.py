"""The options of a job have one form in requests, rows and answers."""

from datetime import UTC, datetime, time

import pytest

from precache.core.errors import InvalidOption
from precache.core.job_options import DEFAULT_JOB_OPTIONS, Canary, Day, JobOptions, WhenDown, Window

OPTIONS = JobOptions(
    priority=80,
    parallelism=20,
    parallelism_per_site=4,
    job_rate_limit_bytes_per_s=200_000_000,
    jitter_s=60,
    not_before=datetime(2026, 12, 4, 20, tzinfo=UTC),
    deadline=datetime(2026, 12, 5, 4, tzinfo=UTC),
    window=Window(time(2), time(5), "Europe/Paris", (Day.MON, Day.TUE)),
    retries=2,
    when_down=WhenDown.WAIT,
    canary=Canary(hosts=2),
    notify_url="https://hooks.example/precache",
)


def test_options_are_read_as_they_are_written():
    assert JobOptions.read(OPTIONS.document()) == OPTIONS
    assert JobOptions.read({**OPTIONS.document(), "of_a_newer_release": 1}) == OPTIONS


def test_only_options_that_were_chosen_are_written():
    assert DEFAULT_JOB_OPTIONS.document() == {}
    assert JobOptions(window=OPTIONS.window, canary=Canary(percent=10)).document() == {
        "window": {"days": ["mon", "tue"], "from": "02:00", "to": "05:00", "time_zone": "Europe/Paris"},
        "canary": {"percent": 10},
    }


def test_times_are_written_in_utc():
    options = JobOptions.read({"deadline": "2026-12-05T05:00:00+01:00"})

    assert options.document() == {"deadline": "2026-12-05T04:00:00Z"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("priority", 101),
        ("priority", True),
        ("parallelism", 0),
        ("job_rate_limit_bytes_per_s", -1),
        ("retries", 11),
        ("jitter_s", 0.5),
        ("deadline", "2026-12-05T05:00:00"),
        ("deadline", "tomorrow"),
        ("window", {"from": "02:00"}),
        ("window", {"from": "02:00", "to": "25:00"}),
        ("window", {"from": "02:00", "to": "03:00", "days": ["monday"]}),
        ("when_down", "hope"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(option, value):
    with pytest.raises(InvalidOption, match=option):
        JobOptions.read({option: value})
