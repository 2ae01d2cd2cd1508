"""When a window is open: in plain weeks, over midnight, and on the days on which clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.job_options import Window
from precache.rules.window import first_open, is_open, next_closing, next_opening

MINUTE = timedelta(minutes=1)
CHANGES = [
    # A zone, and an instant near which its clocks change.
    ("Europe/Paris", "2026-03-29T01:00Z"),  # 02:00 becomes 03:00
    ("Europe/Paris", "2026-10-25T01:00Z"),  # 03:00 becomes 02:00
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),  # by half an hour
    ("America/Sao_Paulo", "2018-11-04T03:00Z"),  # midnight becomes 01:00
    ("America/Asuncion", "2023-03-26T03:00Z"),  # midnight becomes 23:00 of the day before
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # 30 December is skipped
    ("Antarctica/Troll", "2026-03-29T01:00Z"),  # by two hours
    ("Africa/Casablanca", "2026-02-15T02:00Z"),
    ("Asia/Kathmandu", "2026-05-01T00:00Z"),  # never
    ("UTC", "2026-01-01T00:00Z"),
]


def window(begin, end, zone="Europe/Paris", days=None):
    document = {"from": begin, "to": end, "time_zone": zone}
    return Window.read(document if days is None else {**document, "days": days.split(",")})


def utc(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def periods(of, after, count):
    """Return openings and closings as text, in local time with the offset."""
    zone, found = ZoneInfo(of.time_zone), []
    for _ in range(count):
        opening = next_opening(of, after)
        after = next_closing(of, opening)
        found.append(tuple(each.astimezone(zone).strftime("%a %d %H:%M%z") for each in (opening, after)))
    return found


@pytest.mark.parametrize(
    ("of", "after", "expected"),
    [
        (
            window("02:00", "05:00", days="mon,tue"),
            "2026-12-02T00:00Z",
            [
                ("Mon 07 02:00+0100", "Mon 07 05:00+0100"),
                ("Tue 08 02:00+0100", "Tue 08 05:00+0100"),
                ("Mon 14 02:00+0100", "Mon 14 05:00+0100"),
            ],
        ),
        # Over midnight: the day is the one on which it opens.
        (window("22:00", "04:00", days="sun"), "2026-12-02T00:00Z", [("Sun 06 22:00+0100", "Mon 07 04:00+0100")]),
        (
            window("22:00", "04:00"),
            "2026-12-02T00:00Z",
            [("Wed 02 22:00+0100", "Thu 03 04:00+0100"), ("Thu 03 22:00+0100", "Fri 04 04:00+0100")],
        ),
        # In the night to 29 March, 02:00 becomes 03:00.
        (window("01:00", "05:00"), "2026-03-28T20:00Z", [("Sun 29 01:00+0100", "Sun 29 05:00+0200")]),
        (window("02:30", "05:00"), "2026-03-28T20:00Z", [("Sun 29 03:00+0200", "Sun 29 05:00+0200")]),
        (window("01:00", "02:30"), "2026-03-28T20:00Z", [("Sun 29 01:00+0100", "Sun 29 03:00+0200")]),
        (window("02:10", "02:50"), "2026-03-28T20:00Z", [("Mon 30 02:10+0200", "Mon 30 02:50+0200")]),
        (window("02:10", "02:50", days="sun"), "2026-03-28T20:00Z", [("Sun 05 02:10+0200", "Sun 05 02:50+0200")]),
        # Only the skipped hour separates these two nights, so the window stays open.
        (window("03:00", "02:00"), "2026-03-27T20:00Z", [("Sat 28 03:00+0100", "Mon 30 02:00+0200")]),
        # In the night to 25 October, 03:00 becomes 02:00.
        (window("01:00", "05:00"), "2026-10-24T20:00Z", [("Sun 25 01:00+0200", "Sun 25 05:00+0100")]),
        (window("02:30", "05:00"), "2026-10-24T20:00Z", [("Sun 25 02:30+0200", "Sun 25 05:00+0100")]),
        (window("01:00", "02:30"), "2026-10-24T20:00Z", [("Sun 25 01:00+0200", "Sun 25 02:30+0200")]),
        (
            window("02:10", "02:50"),
            "2026-10-24T20:00Z",
            [("Sun 25 02:10+0200", "Sun 25 02:50+0200"), ("Mon 26 02:10+0100", "Mon 26 02:50+0100")],
        ),
        (window("03:00", "02:00"), "2026-10-24T20:00Z", [("Sun 25 03:00+0100", "Mon 26 02:00+0100")]),
    ],
)
def test_a_window_opens_and_closes_by_the_local_clock(of, after, expected):
    assert periods(of, utc(after), len(expected)) == expected


def test_a_window_is_open_at_its_opening_and_closed_at_its_closing():
    of = window("02:00", "05:00", days="mon,tue")
    opening, closing = utc("2026-12-07T01:00Z"), utc("2026-12-07T04:00Z")

    assert [is_open(of, at) for at in (opening - MINUTE, opening, closing - MINUTE, closing)] == [
        False,
        True,
        True,
        False,
    ]
    assert (next_opening(of, opening - MINUTE), next_closing(of, closing - MINUTE)) == (opening, closing)
    assert next_opening(of, opening) == utc("2026-12-08T01:00Z")
    assert next_closing(of, closing) == utc("2026-12-08T04:00Z")
    assert first_open(of, opening + MINUTE) == opening + MINUTE
    assert first_open(of, closing) == utc("2026-12-08T01:00Z")


days = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, unique=True)
times = st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30, 59])).map(
    lambda parts: f"{parts[0]:02}:{parts[1]:02}"
)


@st.composite
def windows_and_instants(draw):
    zone, near = draw(st.sampled_from(CHANGES))
    begin, end = draw(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]))
    at = utc(near) + draw(st.integers(-3 * 24 * 60, 3 * 24 * 60)) * MINUTE
    return window(begin, end, zone, ",".join(draw(days))), at


def is_open_by_the_clock(of, at):
    """Look at the local clock minute by minute. The latest time that it has shown decides, because it may go back."""
    zone = ZoneInfo(of.time_zone)
    latest = max((at - number * MINUTE).astimezone(zone).replace(tzinfo=None) for number in range(36 * 60))
    is_over_midnight = of.end < of.begin
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    asked = {names.index(day) for day in of.document().get("days", names)}
    clock, today, yesterday = latest.time(), latest.weekday(), (latest.weekday() - 1) % 7
    if not is_over_midnight:
        return today in asked and of.begin <= clock < of.end
    return (today in asked and clock >= of.begin) or (yesterday in asked and clock < of.end)


@given(windows_and_instants())
def test_a_window_is_open_while_the_local_clock_is_between_its_times(drawn):
    of, at = drawn

    assert is_open(of, at) == is_open_by_the_clock(of, at)


@given(windows_and_instants())
def test_the_next_changes_are_the_first_ones_and_come_in_turn(drawn):
    of, at = drawn
    opening, closing = next_opening(of, at), next_closing(of, at)

    assert min(opening, closing) > at
    assert (closing < opening) == is_open(of, at)
    for change, is_opening in ((opening, True), (closing, False)):
        assert is_open(of, change) is is_opening
        assert is_open(of, change - timedelta(microseconds=1)) is not is_opening
    between = at + (min(opening, closing) - at) * 0.5
    assert is_open(of, between) == is_open(of, at)
    assert first_open(of, at) == (at if is_open(of, at) else opening)


@given(windows_and_instants())
def test_a_window_opens_within_two_weeks_and_a_day(drawn):
    of, at = drawn

    assert next_opening(of, at) - at <= timedelta(days=15)


def test_times_are_those_of_the_zone_not_of_this_machine():
    assert next_opening(window("02:00", "05:00", "Asia/Kathmandu"), utc("2026-12-01T00:00Z")) == utc(
        "2026-12-01T20:15Z"
    )
    assert window("02:00", "05:00").begin == time(2)
