"""Pins: until when an entry stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from precache.core.pins import FOREVER, Pin, add_pin, pinned_until

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
