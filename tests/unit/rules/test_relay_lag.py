"""A host reports that it is slow when it falls back behind its parent, and not while it comes nearer."""

from __future__ import annotations

from itertools import pairwise

import pytest

from precache.rules.relay_lag import RelayLag

MIB = 1 << 20


def reports(*, rate: float, offer, seconds: float = 4.0, jitter=lambda _time: 1.0) -> list[float]:
    """Return the times of the reports of a host that receives at this rate; `offer` tells what the parent has when."""
    lag, have, step, found = RelayLag(0.0), 0.0, 0.1, []
    for number in range(1, int(seconds / step) + 1):
        now = number * step
        have = min(have + rate * step * jitter(now), offer(now))
        lag.note(now, int(have))
        if lag.is_to_report(now, int(have), int(offer(now))):
            found.append(round(now, 1))
    return found


def test_a_host_that_receives_what_its_parent_gets_is_not_slow():
    assert reports(rate=10 * MIB, offer=lambda now: 10 * MIB * now) == []


def test_a_straggler_reports_within_a_second_then_three_times_a_second_and_less_often_soon():
    found = reports(rate=MIB, offer=lambda now: 20 * MIB * now)

    assert found[0] <= 1.0
    assert [round(later - earlier, 1) for earlier, later in pairwise(found)] == [0.4, 0.3, 0.7, 1.2]  # steps of 0.1


def test_a_host_that_is_slow_again_and_again_reports_less_often_as_one_that_stays_slow():
    jitter = lambda now: 0.1 if now % 2 < 1.6 else 10.0  # noqa: E731

    found = reports(rate=10 * MIB, offer=lambda now: 10 * MIB * now, seconds=60.0, jitter=jitter)

    assert len(found) <= 12


def test_a_host_that_joins_late_behind_a_complete_parent_is_not_slow():
    assert reports(rate=10 * MIB, offer=lambda _now: 1000 * MIB) == []


def test_a_host_that_becomes_far_slower_reports_it_also_when_its_parent_has_everything():
    found = reports(
        rate=10 * MIB,
        offer=lambda now: min(10 * MIB * now, 20 * MIB),
        jitter=lambda now: 1.0 if now <= 1.0 else 0.05,
        seconds=4.0,
    )

    assert len([time for time in found if time > 1.5]) >= 3
    assert found[-1] > 2.5


def test_a_link_that_jitters_behind_a_complete_parent_makes_no_report():
    jitter = lambda now: 0.5 if int(now * 2) % 2 else 1.5  # noqa: E731

    assert reports(rate=10 * MIB, offer=lambda _now: 1000 * MIB, seconds=20.0, jitter=jitter) == []


def test_a_link_that_jitters_around_the_rate_of_the_parent_makes_no_series_of_reports():
    jitter = lambda now: 0.5 if int(now * 2) % 2 else 1.5  # noqa: E731

    found = reports(rate=10 * MIB, offer=lambda now: 10 * MIB * now, seconds=20.0, jitter=jitter)

    assert len(found) <= 2


@pytest.mark.parametrize("rate", [0.0, MIB])
def test_the_rate_is_that_of_the_last_seconds(rate):
    lag = RelayLag(0.0)
    for number in range(1, 100):
        lag.note(number / 10, int(rate * min(number / 10, 5.0)))

    assert lag.rate_bytes_per_s == 0

    lag.note(10.4, int(rate * 5.0) + 4 * MIB)
    assert lag.rate_bytes_per_s == pytest.approx(2 * MIB, rel=0.2)


def test_a_host_that_receives_nothing_while_its_parent_gets_more_is_slow():
    assert reports(rate=0.0, offer=lambda now: MIB * now)


def test_a_host_a_little_slower_than_its_parent_is_not_slow_however_far_it_falls_back():
    assert reports(rate=9 * MIB, offer=lambda now: 10 * MIB * now, seconds=60.0) == []


def test_a_host_that_stays_slow_reports_less_and_less_often():
    found = reports(rate=MIB, offer=lambda now: 20 * MIB * now, seconds=100.0)
    assert len(found) < 14
    assert found[-1] - found[-2] > 10
