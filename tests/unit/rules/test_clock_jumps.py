"""A clock that jumps makes no entry look older than it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.clock_jumps import (
    LONGEST_RESTART,
    TOLERANCE,
    ClockReading,
    first_periods,
    periods_after,
    unused_for,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)


def reading(now: datetime, uptime: timedelta, machine_start: str = "a") -> ClockReading:
    return ClockReading(now, uptime, machine_start)


@pytest.mark.parametrize(
    ("jump", "age_before", "seems"),
    [
        (timedelta(), 2 * HOUR, 3 * HOUR),
        (TOLERANCE / 2, 2 * HOUR, 3 * HOUR + TOLERANCE / 2),
        (YEAR, 2 * HOUR, 3 * HOUR),
        (2 * HOUR, 2 * HOUR, 3 * HOUR),
        (-YEAR, 2 * HOUR, 3 * HOUR),
    ],
)
def test_an_hour_in_which_the_clock_jumps_is_an_hour(jump: timedelta, age_before: timedelta, seems: timedelta) -> None:
    before, after = reading(START, HOUR), reading(START + HOUR + jump, 2 * HOUR)

    periods = periods_after(first_periods(before), before, after)

    assert unused_for(START - age_before, after.now, periods) == seems


def test_what_is_used_after_a_jump_ages_by_the_new_time() -> None:
    before, after = reading(START, HOUR), reading(START + HOUR + YEAR, 2 * HOUR)
    periods = periods_after(first_periods(before), before, after)

    assert unused_for(after.now, after.now + DAY, periods) == DAY


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_after_a_jump_that_is_corrected_all_is_as_before(jump: timedelta) -> None:
    right, wrong = reading(START, HOUR), reading(START + jump, HOUR)
    periods = periods_after(periods_after(first_periods(right), right, wrong), wrong, right)

    assert unused_for(START - 2 * HOUR, START, periods) == 2 * HOUR
    assert unused_for(START + jump, START, periods) == timedelta()


@pytest.mark.parametrize(
    ("gap", "counts"),
    [(HOUR / 2, HOUR / 2), (DAY, LONGEST_RESTART), (YEAR, LONGEST_RESTART), (-YEAR, timedelta())],
)
def test_over_a_start_of_the_machine_an_hour_counts_at_most(gap: timedelta, counts: timedelta) -> None:
    before, after = reading(START, 9 * DAY, "a"), reading(START + gap, HOUR, "b")

    assert unused_for(START, after.now, periods_after(first_periods(before), before, after)) == counts


def test_many_jumps_are_known_as_few() -> None:
    last = reading(START, timedelta())
    periods = first_periods(last)
    for number in range(1, 50):
        after = reading(START + number * YEAR, timedelta())
        periods, last = periods_after(periods, last, after), after

    assert len(periods) <= 16
    assert unused_for(START, last.now, periods) == timedelta()


STEPS = st.lists(
    st.tuples(
        st.timedeltas(min_value=timedelta(), max_value=2 * DAY),  # that pass until the next pass of the cleaner
        st.one_of(
            st.just(timedelta()),
            st.timedeltas(min_value=TOLERANCE, max_value=2 * YEAR),
            st.timedeltas(min_value=-2 * YEAR, max_value=-TOLERANCE),
        ),  # by which the clock jumps just before it
        st.booleans(),  # whether the entry is used just after it
    ),
    max_size=30,
)


@given(steps=STEPS, age=st.timedeltas(min_value=timedelta(), max_value=YEAR))
def test_no_entry_ever_looks_older_than_it_is(steps: list[tuple[timedelta, timedelta, bool]], age: timedelta) -> None:
    now, uptime = START, timedelta()
    mtime, unused_since = START - age, -age
    before = reading(now, uptime)
    periods = first_periods(before)
    for passed, jump, is_used in steps:
        uptime += passed
        now += passed + jump
        after = reading(now, uptime)
        periods, before = periods_after(periods, before, after), after

        assert unused_for(mtime, now, periods) <= uptime - unused_since

        if is_used:
            mtime, unused_since = now, uptime
