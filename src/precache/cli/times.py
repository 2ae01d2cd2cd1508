"""Points in time on a command line: a time, or how long ago."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

TIME_HELP = "a time such as 2026-12-04T20:00Z (without a zone in UTC), or how long ago, such as 90s, 30m, 2h, 7d"


def past_time(text: str) -> str:
    """Return the time in the format of the service, for argparse."""
    try:
        return _rfc3339(parse_past_time(text, datetime.now(UTC)))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not {TIME_HELP}") from None


def parse_past_time(text: str, now: datetime) -> datetime:
    """Return the time. Raises ValueError for text that is none, OverflowError for one that is too long ago."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
