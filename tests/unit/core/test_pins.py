"""Pins: until when an entry stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from precache.core.pins import FOREVER, MOST_PINS, Pin, add_pin, merge_pins, pinned_until, pins_text

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_pin_counts_until_its_end_and_without_one_for_ever() -> None:
    assert Pin("job:1", NOW + HOUR).counts(NOW)
    assert not Pin("job:1", NOW).counts(NOW)
    assert Pin("job:1").counts(FOREVER - HOUR)


def test_the_last_end_counts() -> None:
    early, late = Pin("job:1", NOW), Pin("job:2", NOW + HOUR)

    assert pinned_until([]) is None
    assert pinned_until([late, early]) == NOW + HOUR
    assert pinned_until([late, Pin("job:3")]) == FOREVER


def test_a_later_pin_by_the_same_replaces_the_earlier_one() -> None:
    first, other, second = Pin("job:1", NOW + HOUR), Pin("job:2"), Pin("job:1", NOW)

    assert add_pin([first, other], second) == (other, second)


def test_of_too_many_pins_those_that_end_last_are_kept() -> None:
    pins: tuple[Pin, ...] = (Pin("job:for-ever"),)

    for number in range(MOST_PINS + 10):
        pins = add_pin(pins, Pin(f"job:{number}", NOW + number * HOUR))

    assert len(pins) == MOST_PINS
    assert {Pin("job:for-ever"), Pin(f"job:{MOST_PINS + 9}", NOW + (MOST_PINS + 9) * HOUR)} <= set(pins)
    assert Pin("job:0", NOW) not in pins


def test_of_two_pins_by_the_same_that_which_ends_later_counts_when_both_are_found() -> None:
    early, late, other = Pin("job:1", NOW), Pin("job:1", NOW + HOUR), Pin("job:2")

    assert merge_pins([early], [late, other]) == merge_pins([late], [early, other]) == (late, other)


def test_pins_are_described_by_the_one_that_ends_last() -> None:
    early, late = Pin("job:1", NOW), Pin("job:2", NOW + HOUR)

    assert pins_text([early, late]) == "by job:2 until 2030-01-01 01:00:00+00:00 and 1 other"
    assert pins_text([Pin("job:3"), early, late]) == "by job:3 until it is unpinned and 2 others"
    assert pins_text([late], NOW) == pins_text([late])
    assert pins_text([late], NOW + HOUR) == (
        "by job:2 until 2030-01-01 01:00:00+00:00; that is over, but counts for up to an hour longer, "
        "in case the clock is wrong"
    )
    assert pins_text([Pin("job:3")], FOREVER) == "by job:3 until it is unpinned"
    assert pins_text([Pin("", NOW)]) == "by a job of an earlier release until 2030-01-01 00:00:00+00:00"
