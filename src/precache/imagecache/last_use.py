"""The last use of a file in the cache, which is its mtime: boots and passes set it to the present."""

from __future__ import annotations

import os
from datetime import UTC, datetime

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Some file systems can store later times, which no calendar has."""


def last_use(found: os.stat_result) -> datetime:
    """Return the instant; the nearest one that can be computed with, if the file has an impossible time."""
    timestamp = min(max(found.st_mtime, _EARLIEST.timestamp()), _LATEST.timestamp())
    return datetime.fromtimestamp(timestamp, UTC)
