"""The options of a job have one form in requests, rows and answers."""

from datetime import UTC, datetime, time

import pytest

from precache.core.errors import InvalidOption
from precache.core.job_options import DEFAULT_JOB_OPTIONS, Canary, Day, JobOptions, Transfer, WhenDown, Window

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
    transfer=Transfer.SWARM,
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


HOURS = {"from": "02:00", "to": "03:00"}
A_NUMBER = "must be a whole number from "


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *[("priority", value, f"priority {A_NUMBER}0 to 100") for value in (-1, 101, True, 50.0, "50", None)],
        *[("parallelism", value, f"{A_NUMBER}1 to 10000, not") for value in (0, -1, 10_001, 1.5, "20", False)],
        *[("parallelism_per_site", value, f"{A_NUMBER}1 to 10000") for value in (0, -1, 10_001)],
        *[("job_rate_limit_bytes_per_s", value, f"{A_NUMBER}1 to 1000000000000") for value in (0, -1, 10**12 + 1)],
        *[("jitter_s", value, f"{A_NUMBER}0 to 86400") for value in (-1, 86_401, 0.5, None)],
        *[("retries", value, f"{A_NUMBER}0 to 10, not") for value in (-1, 11, None)],
        *[
            (option, value, f"{option} must be a time with its zone, such as 2026-12-05T04:00:00Z, not {value!r}")
            for option in ("not_before", "deadline")
            for value in ("2026-12-05T05:00:00", "2026-12-05", "tomorrow", "", 7, "0001-01-01T00:00:00+14:00")
        ],
        *[("window", value, "window must be hours such as") for value in ([], "02:00-05:00", 7)],
        *[
            ("window", {**HOURS, part: value}, f"window.{part} must be a time of the day from 00:00 to 23:59")
            for part in ("from", "to")
            for value in ("24:00", "2:00", "02:60", "02:00:00", "02:00+01:00", "0200", 2, None, "")
        ],
        ("window", {"from": "02:00"}, "window.to must be a time of the day"),
        ("window", {"from": "02:00", "to": "02:00"}, "window.to must be another time than window.from, not '02:00'"),
        *[
            ("window", {**HOURS, "days": days}, "window.days must be a list of mon, tue, wed, thu, fri, sat, sun")
            for days in (["monday"], ["Mon"], "mon", 7, None, [[]])
        ],
        ("window", {**HOURS, "days": []}, "window.days must be at least one of mon, tue"),
        ("window", {**HOURS, "time_zone": 7}, "window.time_zone must be the name of a time zone"),
        *[("when_down", value, "when_down must be skip or wait, not") for value in ("hope", "", None, True)],
        *[("transfer", value, "transfer must be auto, direct or swarm, not") for value in ("hope", "", None, True)],
        *[("canary", value, "canary must be either") for value in ({}, 2, "10%", [], {"hosts": 2, "percent": 10})],
        *[("canary", {"hosts": value}, f"canary.hosts {A_NUMBER}1 to 10000") for value in (0, -1, 10_001, True, 1.5)],
        *[("canary", {"percent": value}, f"canary.percent {A_NUMBER}1 to 100") for value in (0, -1, 101, 12.5, "10")],
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(option, value, message):
    with pytest.raises(InvalidOption) as refused:
        JobOptions.read({option: value})

    assert message in str(refused.value)


def test_an_option_without_a_limit_may_be_null():
    names = ("parallelism", "parallelism_per_site", "not_before", "deadline", "window", "canary")

    assert JobOptions.read(dict.fromkeys(names)) == DEFAULT_JOB_OPTIONS


def test_the_days_of_a_window_have_the_order_of_the_week_and_count_once():
    assert Window.read({**HOURS, "days": ["sun", "mon", "sun"]}).days == (Day.MON, Day.SUN)
