"""No time of a file can end a pass over the cache."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from precache.imagecache.last_use import last_use


@pytest.mark.parametrize(
    ("mtime", "instant"),
    [
        (-(10**15), datetime(1970, 1, 1, tzinfo=UTC)),
        (1_800_000_000.5, datetime(2027, 1, 15, 8, 0, 0, 500_000, tzinfo=UTC)),
        (10**15, datetime(9000, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_that_no_calendar_has_is_the_nearest_one(mtime: float, instant: datetime) -> None:
    assert last_use(os.stat_result((0,) * 8 + (mtime, 0))) == instant
