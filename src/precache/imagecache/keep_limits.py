"""How much is kept of paused downloads, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from precache.imagecache.kept_record import KeptDownloadRecord

_UNWANTED_AGE = timedelta(hours=1)
"""How long data stays that no job wants: longer than the wait between two attempts of a task, which use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLimits:
    """The most that is kept. If it is more, the oldest is removed first.

    images: how many downloads. total_bytes: of all of them. age: of each, since it was paused.
    """

    images: int = 20
    total_bytes: int = 50 << 30
    age: timedelta = timedelta(days=7)

    def is_too_old(self, record: KeptDownloadRecord, now: datetime) -> bool:
        """Return whether the data was kept too long."""
        most = self.age if record.jobs else min(_UNWANTED_AGE, self.age)
        return record.kept_time + most <= now

    def exceeding(self, records: Iterable[tuple[str, KeptDownloadRecord]]) -> Iterator[str]:
        """Return the entries of the oldest records without which the rest is within the limits, those first that no job
        wants.

        Pieces that arrive at this moment are such, and stay because they are in use: they take no room from downloads
        that jobs have paused.
        """
        newest_first = sorted(
            ((bool(record.jobs), record.kept_time, entry, record.occupied_bytes) for entry, record in records),
            reverse=True,
        )
        count, total = 0, 0
        for _, _, entry, occupied_bytes in newest_first:
            count, total = count + 1, total + occupied_bytes
            if count > self.images or total > self.total_bytes:
                yield entry
