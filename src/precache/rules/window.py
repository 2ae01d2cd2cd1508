"""When the window of a job is open. A window is given in local time, in a zone that may change its clocks.

On each of its days a window opens when the local clock first shows `begin` or a later time, and closes when the clock
first shows `end` or a later time. It follows for the days on which clocks change:

- A time that exists twice counts at its first occurrence. The window is longer if the clock goes back while it is open.
- A time that does not exist counts as the moment of the change. A window whose hours are all skipped does not open.

The current time is an argument. The tables of time zones are those of the system, or of the package `tzdata`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from precache.core.job_options import EVERY_DAY, Window

_DAY = timedelta(days=1)
_MOST_DAYS = 32
"""Days that are searched for two periods. There is one each week, unless a change of the clock skips its hours."""
_RESOLUTION = timedelta(seconds=1)
"""Clocks change at whole seconds."""


def is_open(window: Window, at: datetime) -> bool:
    """Return whether the window is open; it is at its opening, and no longer at its closing."""
    opening, _ = _next_period(window, at)
    return opening <= at


def next_opening(window: Window, after: datetime) -> datetime:
    """Return the first opening later than `after`, in UTC."""
    opening, closing = _next_period(window, after)
    return opening if opening > after else _next_period(window, closing)[0]


def next_closing(window: Window, after: datetime) -> datetime:
    """Return the first closing later than `after`, in UTC."""
    return _next_period(window, after)[1]


def first_open(window: Window, at: datetime) -> datetime:
    """Return `at` if the window is open then, else the next opening."""
    return max(at, _next_period(window, at)[0])


def _next_period(window: Window, at: datetime) -> tuple[datetime, datetime]:
    """Return the opening and the closing of the first period that closes later than `at`."""
    periods = _periods(window, at)
    opening, closing = next(periods)
    # A skipped hour may be all that separates two periods.
    while (following := next(periods))[0] == closing:
        closing = following[1]
    return opening, closing


def _periods(window: Window, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the openings and closings from the first closing later than `at`, in order; they do not overlap."""
    zone = ZoneInfo(window.time_zone)
    # Yesterday's may go over midnight, and a zone may have skipped a whole day.
    first = at.astimezone(zone).date() - 2 * _DAY
    over_midnight = _DAY if window.end < window.begin else timedelta()
    for day in (first + number * _DAY for number in range(_MOST_DAYS)):
        if EVERY_DAY[day.weekday()] in window.days:
            opening = _reached(datetime.combine(day, window.begin), zone)
            closing = _reached(datetime.combine(day + over_midnight, window.end), zone)
            if max(opening, at) < closing:
                yield opening, closing


def _reached(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which the clock of the zone shows the local time or a later one."""
    before = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == local:
        return before
    # The time is skipped. Both readings of it are wrong: one is before the change, the other is after it.
    after, before = before, local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while after - before > _RESOLUTION:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
