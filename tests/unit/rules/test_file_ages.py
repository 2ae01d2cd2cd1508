"""A clock that jumps makes no file look older than it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.file_ages import LONGEST_RESTART, ClockReading, ages_after, first_ages

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)


@pytest.mark.parametrize("jump", [timedelta(), HOUR, YEAR, -YEAR])
def test_an_hour_in_which_the_clock_jumps_is_an_hour(jump: timedelta) -> None:
    before = first_ages({"a": START - 2 * HOUR}, START)

    after = ages_after(before, {"a": START - 2 * HOUR}, HOUR, START + HOUR + jump)

    assert after["a"].unused_for == 3 * HOUR


def test_a_file_that_was_used_meanwhile_is_as_old_as_its_mtime_says_and_no_older_than_the_last_pass() -> None:
    before = first_ages({"a": START - DAY, "b": START - DAY}, START)

    used, touched_by_a_wrong_clock = START + HOUR / 2, START - YEAR
    after = ages_after(before, {"a": used, "b": touched_by_a_wrong_clock, "new": used}, HOUR, START + HOUR)

    assert {name: age.unused_for for name, age in after.items()} == {"a": HOUR / 2, "b": HOUR, "new": HOUR / 2}


def test_a_last_use_in_the_future_is_one() -> None:
    assert first_ages({"a": START + DAY}, START)["a"].unused_for == -DAY
    assert ages_after({}, {"a": START + DAY}, HOUR, START)["a"].unused_for == -DAY


@pytest.mark.parametrize(
    ("gap", "counts"),
    [(HOUR / 2, HOUR / 2), (DAY, LONGEST_RESTART), (YEAR, LONGEST_RESTART), (-YEAR, timedelta())],
)
def test_over_a_start_of_the_machine_an_hour_counts_at_most(gap: timedelta, counts: timedelta) -> None:
    before, after = ClockReading(START, 9 * DAY, "a"), ClockReading(START + gap, HOUR, "b")

    assert after.since(before) == counts


PASSES = st.lists(
    st.tuples(
        st.timedeltas(min_value=timedelta(), max_value=2 * DAY),  # that pass until the next pass of the cleaner
        st.lists(
            st.one_of(
                st.just("use"),
                st.timedeltas(min_value=-2 * YEAR, max_value=2 * YEAR),  # by which the clock jumps
            ),
            max_size=4,
        ),  # what happens just before it, in this order
    ),
    max_size=30,
)


@given(passes=PASSES, age=st.timedeltas(min_value=timedelta(), max_value=YEAR))
def test_no_file_ever_looks_older_than_the_last_pass_before_its_last_use(
    passes: list[tuple[timedelta, list[str | timedelta]]], age: timedelta
) -> None:
    now, uptime, mtime, oldest_use = START, timedelta(), START - age, -age
    ages, pass_at = first_ages({"a": mtime}, now), uptime
    for passed, events in passes:
        now, uptime = now + passed, uptime + passed
        for event in events:
            if isinstance(event, timedelta):
                now += event
            elif now != mtime:  # to the microsecond the same time once more cannot be told apart
                mtime, oldest_use = now, pass_at

        ages, pass_at = ages_after(ages, {"a": mtime}, uptime - pass_at, now), uptime

        assert ages["a"].unused_for <= uptime - oldest_use
