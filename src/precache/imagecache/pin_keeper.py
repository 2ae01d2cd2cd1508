"""Keeps entries in the cache until a given time, also if no instance uses them and another service removes old ones.

The time is in the entry's record. nova-compute removes an unused entry by the age of its mtime, so each pass resets the
mtimes of the kept entries to the present; Nova would reset one in the future. After the time they expire as all others.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from precache.core.errors import CacheUnusable, ImageNotPinned
from precache.core.images import ImageId
from precache.core.pins import Pin, add_pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.entry_records import EntryRecord
from precache.imagecache.os_errors import explain
from precache.ports.clock import Clock
from precache.rules.expiry import is_kept

_log = logging.getLogger(__name__)

_TOO_SHORT = (
    "[image_cache] remove_unused_original_minimum_age_seconds is 0, so nova-compute removes every unused image at its "
    "next pass; set it higher there and here"
)
_LINK = "its entry is a symbolic link, whose target cannot be touched; remove the link and request the image again"


class PinKeeper:
    """Keeps entries of one cache.

    host: for the log. limit: the age at which another service removes an unused entry; None if none does.
    """

    def __init__(self, *, cache: ImageCache, clock: Clock, host: str, limit: timedelta | None) -> None:
        self._cache = cache
        self._directory = cache.directory
        self._clock = clock
        self._host = host
        self._limit = limit
        self._reported: dict[str, str] = {}

    def keep(self, image: ImageId, until: datetime, wait: Callable[[], None]) -> None:
        """Keep the entry until then, or longer if that was requested earlier; its expiry restarts.

        wait: as for `ImageCache.use`. Raises ImageNotPinned, ImageNotCached, and what `wait` raises.
        """
        if self._limit == timedelta():
            raise ImageNotPinned(image, str(self._directory), _TOO_SHORT)
        try:
            self._cache.use(image, lambda path: self._record(image, path, until), wait)
        except CacheUnusable as error:
            raise ImageNotPinned(image, str(self._directory), str(error)) from error

    def _record(self, image: ImageId, path: Path, until: datetime) -> None:
        if path.is_symlink():
            raise ImageNotPinned(image, str(self._directory), _LINK)
        earlier = self._cache.records.read(path.name)
        if earlier is not None and earlier.kept_until is not None and earlier.kept_until >= until:
            return
        known = earlier or EntryRecord(image=image)
        try:
            self._cache.records.write(replace(known, pins=add_pin(known.pins, Pin("", until))))
        except OSError as error:
            raise ImageNotPinned(image, str(self._directory), f"its record: {explain(error)}") from error

    def touch(self) -> None:
        """Reset the ages of all kept entries, and remove the records that are over. Raises CacheUnusable.

        An entry that cannot be touched is logged as an error, once until the reason changes. One that was not touched
        in time, or that is gone, is logged each time that this is found.
        """
        try:
            entries = list(self._cache.records.entries())
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
        for entry in entries:
            try:
                self._touch(entry)
            except (OSError, CacheUnusable) as error:
                reason = explain(error) if isinstance(error, OSError) else str(error)
                self._report(entry, f"could not be touched: {reason}")

    def _touch(self, entry: str) -> None:
        record = self._cache.records.read(entry)
        found = self._look(entry)
        if found is None or (record is not None and record.pins and not is_kept(record.kept_until, self._clock.now())):
            self._end_pins(entry)
        elif record is None:
            return  # logged by the reader
        elif not record.pins:
            return
        elif not stat.S_ISREG(found.st_mode):
            self._report(entry, "could not be touched: it is not a file; remove it and request the image again")
        else:
            self._reset_age(entry, record, found)

    def _look(self, entry: str) -> os.stat_result | None:
        """Return the state of the entry, not of a link's target; None if it is gone. Raises OSError."""
        with suppress(FileNotFoundError):
            return (self._directory / entry).lstat()
        return None

    def _reset_age(self, entry: str, record: EntryRecord, found: os.stat_result) -> None:
        now = self._clock.now()
        os.utime(self._directory / entry, (now.timestamp(), now.timestamp()), follow_symlinks=False)
        self._reported.pop(entry, None)
        age = now - datetime.fromtimestamp(found.st_mtime, UTC)
        if self._limit is not None and age >= self._limit:
            _log.error(
                "Image %s, which is kept until %s, was not touched in time on %s: its entry %s was %s old, and "
                "nova-compute removes unused ones after %s; find out what delayed this compute",
                record.image,
                record.kept_until,
                self._host,
                self._directory / entry,
                age,
                self._limit,
            )

    def _end_pins(self, entry: str) -> None:
        """Remove the pins if they are over; remove the record if its entry is gone."""
        with self._cache.locks.hold_if_free(entry) as is_held:
            if not is_held:
                return  # it may be fetched again, or kept for longer
            record, is_gone = self._cache.records.read(entry), self._look(entry) is None
            if record is not None and is_kept(record.kept_until, self._clock.now()):
                if not is_gone:
                    return
                _log.error(
                    "Image %s was to be kept until %s, but it is gone from %s on %s; find out what removed it, and "
                    "request it again",
                    record.image,
                    record.kept_until,
                    self._directory,
                    self._host,
                )
            if is_gone or record is None:
                self._cache.records.remove(entry)
            else:
                self._cache.records.write(replace(record, pins=()))
            self._reported.pop(entry, None)

    def _report(self, entry: str, reason: str) -> None:
        if self._reported.get(entry) != reason:
            record = self._cache.records.read(entry)
            image = entry if record is None else record.image
            _log.error("Image %s, which is to be kept on %s, %s (%s)", image, self._host, reason, self._directory)
        self._reported[entry] = reason
