"""How long an entry was unused, also if the clock of the host jumped meanwhile.

The mtime of an entry is its last use by the clock of the host. If that clock jumps forward by a year, each entry looks
a year old. So it is compared at each pass with one that cannot jump, the uptime of the machine. What is known is a list
of periods, in each of which the clock ran steadily, and by how much it has jumped since each. An mtime belongs to the
period that contains it. If several do, the entry counts as the youngest of what it may be: a jump can delay a removal
and never cause one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)
"""A smaller jump is no jump: services that set the clock correct it by seconds."""

LONGEST_RESTART = timedelta(hours=1)
"""How much of the time between the last pass before a start of the machine and the first one after it counts at most.
The uptime begins again at a start, so the clock is all there is, and it may be wrong then."""

_MOST_PERIODS = 16
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one moment. now: aware. machine_start: any text that is another one after each start."""

    now: datetime
    uptime: timedelta
    machine_start: str


@dataclass(frozen=True, slots=True)
class SteadyPeriod:
    """A period without a jump. jumped_since: by how much the clock has jumped since, forward if positive."""

    begin: datetime
    end: datetime
    jumped_since: timedelta = timedelta()


def first_periods(reading: ClockReading) -> tuple[SteadyPeriod, ...]:
    """Return what is known at the first pass: the clock is trusted."""
    return (SteadyPeriod(_EARLIEST, reading.now),)


def periods_after(
    periods: Sequence[SteadyPeriod], before: ClockReading, after: ClockReading
) -> tuple[SteadyPeriod, ...]:
    """Return the periods at the second reading, the present one last. periods: those at the first reading."""
    *earlier, present = periods
    expected = before.now + _elapsed(before, after)
    jump = after.now - expected
    if abs(jump) < TOLERANCE:
        return (*earlier, replace(present, end=max(present.end, after.now)))
    # The moment of the jump is not known: each period gets all times that it can have had.
    ended = [*earlier, replace(present, end=max(present.end, expected))]
    new = SteadyPeriod(min(before.now + jump, after.now), after.now)
    return _bounded((*(replace(each, jumped_since=each.jumped_since + jump) for each in ended), new))


def unused_for(last_used: datetime, now: datetime, periods: Sequence[SteadyPeriod]) -> timedelta:
    """Return how long ago the last use was at most; negative for a last use in the future."""
    possible = [each for each in periods if each.begin <= last_used <= each.end] or periods
    return now - last_used - max((each.jumped_since for each in possible), default=timedelta())


def _elapsed(before: ClockReading, after: ClockReading) -> timedelta:
    if before.machine_start == after.machine_start:
        return max(after.uptime - before.uptime, timedelta())
    return min(max(after.now - before.now, timedelta()), LONGEST_RESTART)


def _bounded(periods: tuple[SteadyPeriod, ...]) -> tuple[SteadyPeriod, ...]:
    """Return at most so many: the oldest two become one, with the larger jump."""
    if len(periods) <= _MOST_PERIODS:
        return periods
    one, two, *others = periods
    both = SteadyPeriod(min(one.begin, two.begin), max(one.end, two.end), max(one.jumped_since, two.jumped_since))
    return (both, *others)
