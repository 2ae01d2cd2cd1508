"""Times on a command line."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from precache.cli.times import parse_past_time, past_time

NOW = datetime(2026, 12, 4, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("1w", NOW - timedelta(days=7)),
        ("2026-12-04", NOW.replace(hour=0)),
        ("2026-12-04T18:30", NOW.replace(hour=18, minute=30)),
        ("2026-12-04T19:30+01:00", NOW.replace(hour=18, minute=30)),
    ],
)
def test_a_time_is_given_itself_or_by_how_long_ago_it_was(text: str, time: datetime) -> None:
    assert parse_past_time(text, NOW) == time


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2", "h", "-2h", "2 h", "1.5h", "9999999h", "999999w", "0001-01-01T00:00+05:00"]
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a time such as .* 2h"):
        past_time(text)


def test_a_time_is_sent_with_its_zone() -> None:
    assert past_time("2026-12-04T18:30") == "2026-12-04T18:30:00Z"
