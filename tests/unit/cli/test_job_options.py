"""The options of a job on the command line."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import Reply, StubService, job

CREATE = ("job", "create", "--image", "debian-12", "--cell", "cell1")


@pytest.fixture(autouse=True)
def accepting(service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": job("queued")})


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--priority", "0", "priority", 0),
        ("--priority", "100", "priority", 100),
        ("--parallelism", "20", "parallelism", 20),
        ("--parallelism-per-site", "4", "parallelism_per_site", 4),
        ("--job-rate-limit", "200M", "job_rate_limit_bytes_per_s", 200_000_000),
        ("--jitter", "90", "jitter_s", 90),
        ("--jitter", "90s", "jitter_s", 90),
        ("--jitter", "5m", "jitter_s", 300),
        ("--jitter", "1h", "jitter_s", 3600),
        ("--jitter", "1d", "jitter_s", 86_400),
        ("--not-before", "2026-12-04T20:00:00Z", "not_before", "2026-12-04T20:00:00Z"),
        ("--deadline", "2026-12-05T05:00+01:00", "deadline", "2026-12-05T05:00+01:00"),
        ("--window", "02:00-05:00", "window", {"from": "02:00", "to": "05:00", "time_zone": "UTC"}),
        (
            "--window",
            "mon,tue 22:00-04:00 Europe/Paris",
            "window",
            {"days": ["mon", "tue"], "from": "22:00", "to": "04:00", "time_zone": "Europe/Paris"},
        ),
        ("--window", " 22:00-04:00 UTC ", "window", {"from": "22:00", "to": "04:00", "time_zone": "UTC"}),
        ("--retries", "2", "retries", 2),
        ("--when-down", "wait", "when_down", "wait"),
        ("--transfer", "swarm", "transfer", "swarm"),
        ("--canary", "2", "canary", {"hosts": 2}),
        ("--canary", "10%", "canary", {"percent": 10}),
        ("--notify-url", "https://hooks.example/x", "notify_url", "https://hooks.example/x"),
    ],
)
def test_an_option_is_sent_as_its_field(
    run: Run, service: StubService, flag: str, text: str, field: str, value: object
) -> None:
    assert run(*CREATE, flag, text).code == 0

    assert service.asked[-1].body == {
        "images": [{"image": "debian-12"}],
        "target": {"cells": ["cell1"]},
        field: value,
    }


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--priority", "101", "priority must be a whole number from 0 to 100, not 101"),
        ("--priority", "high", "priority must be a whole number from 0 to 100, not 'high'"),
        ("--parallelism", "0", "parallelism must be a whole number from 1 to 10000, not 0"),
        ("--parallelism", "none", "parallelism must be a whole number from 1 to 10000, not 'none'"),
        ("--parallelism-per-site", "-1", "parallelism_per_site must be a whole number from 1 to 10000, not -1"),
        ("--rate-limit", "1.5M", "'1.5M' is not a whole number of bytes from 1 to 1000000000000, such as 1500k or 20M"),
        ("--job-rate-limit", "0", "'0' is not a whole number of bytes from 1 to 1000000000000, such as 1500k or 20M"),
        ("--jitter", "5 minutes", "'5 minutes' is not a duration such as 90, 5m, 1h or 7d"),
        ("--jitter", "7d", "'7d' is longer than 24h, the longest"),
        (
            "--base",
            "debian-11",
            "base must be the id of an image, such as 70a599e0-31e7-49b7-b260-868f441e862b, not 'debian-11'",
        ),
        ("--keep-for", "a week", "'a week' is not a duration such as 90, 5m, 1h or 7d"),
        ("--keep-for", "0", "keep_for_s must be a whole number from 1 to 316224000, which is ten years, not 0"),
        ("--keep-for", "3661d", "keep_for_s must be a whole number from 1 to 316224000, which is ten years, not 3163"),
        ("--not-before", "tomorrow", "not_before must be a time with its zone, such as 2026-12-05T04:00:00Z"),
        ("--deadline", "2026-12-05T04:00", "deadline must be a time with its zone, such as 2026-12-05T04:00:00Z"),
        ("--window", "nights", "'nights' is not of the form '[DAY,DAY] HH:MM-HH:MM [ZONE]', such as 'mon,tue"),
        ("--window", "02:00-02:00", "window.to must be another time than window.from, not '02:00'"),
        ("--window", "2:00-05:00", "window.from must be a time of the day from 00:00 to 23:59, not '2:00'"),
        ("--window", "monday 02:00-05:00", "window.days must be a list of mon, tue, wed, thu, fri, sat, sun"),
        ("--retries", "11", "retries must be a whole number from 0 to 10, not 11"),
        ("--when-down", "hope", "when_down must be skip or wait, not 'hope'"),
        ("--transfer", "torrent", "transfer must be auto, direct or swarm, not 'torrent'"),
        *[
            (
                "--canary",
                text,
                f"'{text}' is neither a number of hosts from 1 to 10000 nor a whole percentage from 1% to 100%",
            )
            for text in ("0", "101%", "50.5%", "some")
        ],
        ("--notify-url", "", "'' is empty; is a variable unset?"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_sent(
    run: Run, service: StubService, flag: str, text: str, message: str
) -> None:
    ran = run(*CREATE, f"{flag}={text}")

    assert (ran.code, service.asked) == (2, [])
    assert f"argument {flag}: {message}" in ran.err
