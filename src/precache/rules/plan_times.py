"""When a job would begin and end, by its window and its other times."""

from __future__ import annotations

from datetime import datetime, timedelta

from precache.core.job_options import JobOptions
from precache.rules.schedule import next_start
from precache.rules.window import first_open, next_closing

_MOST_PERIODS = 366
"""Openings of a window that are looked at: a job that needs more ends later than anyone plans."""


def begins_at(options: JobOptions, now: datetime) -> datetime:
    """Return when the job may begin; `now` if it may at once. It ignores the deadline."""
    start = next_start(options, now)
    return now if start is None else start.at


def ends_at(options: JobOptions, begin: datetime, seconds: float) -> datetime | None:
    """Return when work of this time is done that begins at `begin`; it rests while the window is closed.

    None if it needs too many openings of the window.
    """
    try:
        left = timedelta(seconds=seconds + options.jitter_s)
        if options.window is None:
            return begin + left
        opening = first_open(options.window, begin)
        for _ in range(_MOST_PERIODS):
            closing = next_closing(options.window, opening)
            if left <= closing - opening:
                return opening + left
            left -= closing - opening
            opening = first_open(options.window, closing)
    except OverflowError:
        return None
    return None


def meets_deadline(options: JobOptions, begin: datetime, seconds: float | None) -> bool | None:
    """Return whether the job ends before its deadline; None if it has none, or if the time of the work is unknown."""
    if options.deadline is None:
        return None
    if begin >= options.deadline:
        return False
    if seconds is None:
        return None
    end = ends_at(options, begin, seconds)
    return end is not None and end <= options.deadline
