"""Verifies all entries of a cache, one at each call: the one that was verified least recently.

The times are in the records, so that a restart goes on where it was. Entries without a record are left out: only a
request for the image says which image they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from precache.core.errors import CacheUnusable
from precache.core.images import ImageId
from precache.imagecache.cache import ImageCache
from precache.imagecache.os_errors import explain
from precache.imagecache.verification.entry_verification import EntryVerification
from precache.imagecache.verification.paced_reading import PacedReading
from precache.ports.clock import Clock

_NEVER = datetime.min.replace(tzinfo=UTC)


class VerificationRounds:
    """The rounds over one cache. Used by one thread."""

    def __init__(self, *, cache: ImageCache, verification: EntryVerification, clock: Clock) -> None:
        self._cache = cache
        self._verification = verification
        self._clock = clock
        self._tried_at: dict[str, datetime] = {}
        """Of entries in this process, also of those that were not intact, and so have no time in their record."""

    def verify_due(self, interval: timedelta, reading: PacedReading) -> ImageId | None:
        """Verify the next entry and return its image; None if all were verified within `interval`.

        Raises CacheUnusable, and what the watcher of `reading` raises.
        """
        due = self._next(interval)
        if due is None:
            return None
        entry, image = due
        try:
            self._verification.verify(image, reading)
        except CacheUnusable:
            self._tried_at[entry] = self._clock.now()  # the next call goes on with another one
            raise
        self._tried_at[entry] = self._clock.now()
        return image

    def _next(self, interval: timedelta) -> tuple[str, ImageId] | None:
        due = [each for each in self._times() if _is_due(each[0], self._clock.now(), interval)]
        if not due:
            return None
        _, entry, image = min(due)
        return entry, image

    def _times(self) -> Iterator[tuple[datetime, str, ImageId]]:
        """Return when each entry was verified last, or when that was tried. Raises CacheUnusable."""
        try:
            entries = list(self._cache.records.entries())
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error
        self._tried_at = {entry: self._tried_at[entry] for entry in entries if entry in self._tried_at}
        with self._cache.records.reader() as read:
            for entry in entries:
                record = read(entry)
                if record is not None and os.path.lexists(self._cache.directory / entry):
                    yield max(record.verified_at or _NEVER, self._tried_at.get(entry, _NEVER)), entry, record.image


def _is_due(verified_at: datetime, now: datetime, interval: timedelta) -> bool:
    # A time in the future is of a clock that was wrong.
    return verified_at > now or now - verified_at >= interval
