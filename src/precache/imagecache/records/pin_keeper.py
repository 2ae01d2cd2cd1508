"""Keeps pinned entries in the cache, also if no instance uses them and another service removes old ones.

The pins are in the entry's record. nova-compute removes an unused entry by the age of its mtime, so each pass resets
the mtimes of the pinned entries to the present, never to the future. An entry is pinned as long as its record has a
pin. A pin that is over is removed only after passes have found it over for a while: the host's clock may have jumped.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable, ImageNotPinned
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.pins import Pin, add_pin, pins_text
from precache.imagecache.cache import ImageCache
from precache.imagecache.last_use import last_use
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

LONGEST_DOUBT = timedelta(hours=1)
"""How long passes must find a pin over before it is removed. Until then a clock that jumped is usually right again."""

LATE_ALARM = timedelta(hours=1)
"""How long the alarm of an entry that was touched too late stays at least, so that it is seen."""

_TOO_SHORT = (
    "[image_cache] remove_unused_original_minimum_age_seconds is 0, so nova-compute removes every unused image at its "
    "next pass; set it higher there and here"
)
_LINK = "its entry is a symbolic link, whose target cannot be touched; remove the link and request the image again"
_NO_FILE = "it is not a file; remove it, and request the image again"


@dataclass(slots=True)
class _Observed:
    """What the passes of this process have found of one pinned entry. Times are monotonic, in seconds.

    over_since: when a pin that is over was first found so. late_at: when it was last touched too late.
    reported: the last reason that was logged.
    """

    over_since: dict[Pin, float] = field(default_factory=dict)
    late_at: float | None = None
    reported: str = ""


class PinKeeper:
    """Pins and unpins the entries of one cache, and makes the passes over them.

    host: for the log. limit: the age at which another service removes an unused entry; None if none does.
    doubt: how long passes must find a pin over before they remove it.
    """

    def __init__(
        self,
        *,
        cache: ImageCache,
        clock: Clock,
        host: str,
        limit: timedelta | None,
        doubt: timedelta = LONGEST_DOUBT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._directory = cache.directory
        self._clock = clock
        self._host = host
        self._limit = limit
        self._doubt_s = doubt.total_seconds()
        self._monotonic = monotonic
        self._observed: dict[str, _Observed] = {}

    def pin(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:
        """Pin the cached image, in place of an earlier pin by the same; its expiry restarts.

        wait: as for `ImageCache.use`. Raises ImageNotPinned, ImageNotCached, and what `wait` raises.
        """
        if self._limit == timedelta():
            raise ImageNotPinned(image, str(self._directory), _TOO_SHORT)
        try:
            self._cache.use(image, lambda path: self._add(image, path, pin), wait)
        except CacheUnusable as error:
            raise ImageNotPinned(image, str(self._directory), str(error)) from error

    def _add(self, image: ImageId, path: Path, pin: Pin) -> None:
        if path.is_symlink():
            raise ImageNotPinned(image, str(self._directory), _LINK)
        known = self._cache.records.read(path.name) or EntryRecord(image=image, source=ADOPTED)
        try:
            self._cache.records.write(replace(known, pins=add_pin(known.pins, pin)))
        except OSError as error:
            raise ImageNotPinned(image, str(self._directory), f"its record: {explain(error)}") from error
        _log.info("Image %s is pinned on %s %s", image, self._host, pins_text([pin]))

    def unpin(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:
        """Remove all pins of the image, so that it expires as all others. It need not be in the cache.

        wait: called some ten times a second while another uses the entry; what it raises ends the wait.
        Raises CacheUnusable, and what `wait` raises.
        """
        entry = entry_name(image)
        with self._cache.locks.hold(entry, wait), self._explained():
            record = self._cache.records.read(entry)
            if record is None or not record.pins:
                return OperationResult(Outcome.ABSENT)
            self._store_pins(entry, record, ())
        self._forget(entry)
        _log.info("Image %s is no longer pinned on %s", image, self._host)
        return OperationResult(Outcome.UNPINNED)

    def touch(self) -> list[ImageId]:
        """Reset the ages of all pinned entries, remove the pins that are over, and return the images that are gone.

        What went wrong is an alarm until it is over. It is logged as an error, once until the reason changes; an entry
        that was not touched in time is logged each time. Raises CacheUnusable if the cache cannot be read.
        """
        try:
            with self._explained():
                entries = list(self._cache.records.entries())
        except CacheUnusable as error:
            self._alarm(AlarmKind.NOT_TOUCHED, "", None, f"No pinned image of {self._host} could be touched: {error}")
            raise
        self._cache.alarms.clear(AlarmKind.NOT_TOUCHED, "")
        for entry in self._observed.keys() - set(entries):
            self._forget(entry)
        return [image for entry in entries if (image := self._pass_over(entry)) is not None]

    def _pass_over(self, entry: str) -> ImageId | None:
        """Return the image if it is pinned and gone."""
        record = self._cache.records.read(entry)  # which logs what cannot be used
        try:
            if record is not None and (over := self._pins_over(entry, record)):
                record = self._remove_pins(entry, over)
            if record is None or not record.pins:
                self._forget(entry)
                return None
            found = self._look(entry)
            if found is None:
                return self._note_missing(entry)
            self._touch(entry, record, found)
        except (OSError, CacheUnusable) as error:
            reason = explain(error) if isinstance(error, OSError) else str(error)
            self._note_untouched(entry, record, reason)
        return None

    def _pins_over(self, entry: str, record: EntryRecord) -> set[Pin]:
        """Return the pins that are to be removed: passes have found them over for long enough."""
        observed, now = self._observation(entry), self._monotonic()
        over = [pin for pin in record.pins if not pin.counts(self._clock.now())]
        observed.over_since = {pin: observed.over_since.get(pin, now) for pin in over}
        return {pin for pin, since in observed.over_since.items() if now - since >= self._doubt_s}

    def _remove_pins(self, entry: str, over: set[Pin]) -> EntryRecord | None:
        """Remove these pins unless the entry's lock is held; return the record as it is then."""
        with self._cache.locks.hold_if_free(entry) as is_held:
            record = self._cache.records.read(entry)
            if not is_held or record is None:
                return record  # it may be fetched again, or pinned for longer
            left = tuple(pin for pin in record.pins if pin not in over)
            self._store_pins(entry, record, left)
        if not left:
            _log.info("The pins of image %s on %s are over", record.image, self._host)
        return replace(record, pins=left)

    def _store_pins(self, entry: str, record: EntryRecord, pins: tuple[Pin, ...]) -> None:
        """The caller holds the entry's lock. Raises OSError."""
        found = self._look(entry)
        if found is None and not pins:
            self._cache.records.remove(entry)
            return
        self._cache.records.write(replace(record, pins=pins))
        if found is not None and not pins and found.st_mtime > self._clock.now().timestamp():
            self._reset_age(entry)  # else it would not expire before that time

    def _look(self, entry: str) -> os.stat_result | None:
        """Return the state of the entry, not of a link's target; None if it is gone or empty. Raises OSError."""
        with suppress(FileNotFoundError):
            found = (self._directory / entry).lstat()
            # No image is empty: it is fetched again at the next request, as if it were not there.
            return found if found.st_size or not stat.S_ISREG(found.st_mode) else None
        return None

    def _note_missing(self, entry: str) -> ImageId | None:
        """Return the image if it is pinned, gone, and not being fetched."""
        with self._cache.locks.hold_if_free(entry) as is_held:
            record = self._cache.records.read(entry)
            if not is_held or self._look(entry) is not None or record is None or not record.pins:
                return None
            if record.fault or not self._cache.records.has_all(entry):
                # What was found wrong was wrong with the file that is gone.
                record = replace(record, fault="", corrupt_at=None)
                self._cache.records.write(record)
            text = (
                f"Image {record.image} is gone from {self._directory} on {self._host}, though it is pinned "
                f"{pins_text(record.pins)}; find out what removed it"
            )
            self._report(entry, text)
            self._cache.alarms.clear(AlarmKind.NOT_TOUCHED, entry)
            # While the lock is held: who fetches it ends this alarm.
            self._alarm(AlarmKind.MISSING, entry, record.image, text)
            return record.image

    def _touch(self, entry: str, record: EntryRecord, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            self._note_untouched(entry, record, _NO_FILE, always=True)  # a boot cannot use it either
            return
        self._reset_age(entry)
        if not self._cache.records.has_all(entry):
            self._repair(entry)
        observed, now = self._observation(entry), self._clock.now()
        observed.reported = ""
        self._cache.alarms.clear(AlarmKind.MISSING, entry)
        age = now - last_use(found)
        if self._limit is not None and age >= self._limit:
            observed.late_at = self._monotonic()
            text = (
                f"Image {record.image}, which is pinned {pins_text(record.pins)}, was not touched in time on "
                f"{self._host}: its entry {self._directory / entry} was {age} old, and nova-compute removes unused "
                f"ones after {self._limit}; find out what delayed this compute, or changed the clock"
            )
            _log.error("%s", text)
            self._alarm(AlarmKind.NOT_TOUCHED, entry, record.image, text)
        elif observed.late_at is None or self._monotonic() - observed.late_at >= LATE_ALARM.total_seconds():
            observed.late_at = None
            self._cache.alarms.clear(AlarmKind.NOT_TOUCHED, entry)

    def _repair(self, entry: str) -> None:
        """Write the record and the copy of its pins again: one of them was lost, or is damaged. Raises OSError."""
        with self._cache.locks.hold_if_free(entry) as is_held:
            record = self._cache.records.read(entry)
            if is_held and record is not None and record.pins:
                self._cache.records.write(record)

    def _reset_age(self, entry: str) -> None:
        now = self._clock.now().timestamp()
        os.utime(self._directory / entry, (now, now), follow_symlinks=False)

    def _note_untouched(self, entry: str, record: EntryRecord | None, reason: str, *, always: bool = False) -> None:
        image = None if record is None else record.image
        text = f"Image {image or entry}, which is pinned on {self._host}, could not be touched: {reason}"
        text += f" ({self._directory})"
        self._report(entry, text)
        self._alarm(AlarmKind.NOT_TOUCHED, entry, image, text, always=always)

    def _alarm(self, kind: AlarmKind, entry: str, image: ImageId | None, text: str, *, always: bool = False) -> None:
        """Where no other service removes entries, one that is not touched stays: no alarm, unless always."""
        if always or kind is not AlarmKind.NOT_TOUCHED or self._limit is not None:
            self._cache.alarms.set(kind, entry, image, text)

    def _report(self, entry: str, text: str) -> None:
        observed = self._observation(entry)
        if observed.reported != text:
            _log.error("%s", text)
        observed.reported = text

    def _observation(self, entry: str) -> _Observed:
        return self._observed.setdefault(entry, _Observed())

    def _forget(self, entry: str) -> None:
        """The entry is no longer pinned: it needs no operator."""
        self._observed.pop(entry, None)
        for kind in (AlarmKind.NOT_TOUCHED, AlarmKind.MISSING):
            self._cache.alarms.clear(kind, entry)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
