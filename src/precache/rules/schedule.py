"""When a job may run, by its options: not before a time, in its window, until its deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from precache.core.errors import InvalidOption, WindowNeverOpens
from precache.core.job_options import JobOptions
from precache.rules.time_zones import check_time_zone
from precache.rules.window import first_open

_FARTHEST = timedelta(days=3653)
"""Ten years: a later time is a mistake."""


@dataclass(frozen=True, slots=True)
class Start:
    """The time at which a waiting job may begin, and what it waits for, for the operator."""

    at: datetime
    reason: str


def check_schedule(options: JobOptions, now: datetime) -> None:
    """Check that the job may run at some time. Raises InvalidOption, WindowNeverOpens."""
    deadline, not_before = options.deadline, options.not_before
    if options.window is not None:
        check_time_zone("window.time_zone", options.window.time_zone)
    for name, at in (("not_before", not_before), ("deadline", deadline)):
        if at is not None and at - now > _FARTHEST:
            raise InvalidOption(name, time_text(at), "at most ten years ahead")
    if deadline is None:
        return
    if deadline <= now:
        raise InvalidOption("deadline", time_text(deadline), f"later than now, {time_text(now)}")
    if not_before is not None and not_before >= deadline:
        raise InvalidOption("not_before", time_text(not_before), f"before the deadline, {time_text(deadline)}")
    start = next_start(options, now)
    if start is not None and start.at >= deadline:
        raise WindowNeverOpens(deadline=time_text(deadline), opening=time_text(start.at))


def next_start(options: JobOptions, now: datetime) -> Start | None:
    """Return when the job may begin or continue; None if it may now. The deadline is not considered."""
    earliest = max(now, options.not_before or now)
    at = earliest if options.window is None else first_open(options.window, earliest)
    if at == now:
        return None
    if at == earliest:
        return Start(at, f"It may not begin before {time_text(at)}.")
    return Start(at, f"Its window opens at {time_text(at)}.")


def first_start(options: JobOptions, created_at: datetime) -> datetime:
    """Return the first time at which a job of that age may run."""
    start = next_start(options, created_at)
    return created_at if start is None else start.at


def earlier(at: datetime | None, deadline: datetime | None) -> datetime | None:
    """Return the earlier of the two; None if neither is given."""
    return min((time for time in (at, deadline) if time is not None), default=None)


def time_text(at: datetime) -> str:
    """Return the time in UTC, to the second, for messages."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
