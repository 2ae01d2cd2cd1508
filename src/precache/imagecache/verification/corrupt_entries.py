"""Entries that were found corrupt: they are moved to the quarantine, or stay with an alarm because something uses them.

A verdict on an entry that stays is kept in its record, so that the next process knows it. Safe for several threads and
processes.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from precache.core.cache_entries import AlarmKind, Removal
from precache.core.errors import CacheUnusable, EntryCorrupt
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.beginning_boots import wait_for_boots
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.disks.overlay_list import remove_overlays
from precache.imagecache.os_errors import explain
from precache.imagecache.verification.entry_look import EntryLook, look_at
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)


class CorruptEntries:
    """The corrupt entries of one cache. host: for the log. has_nova: whether nova-compute boots from the cache."""

    def __init__(
        self,
        *,
        cache: ImageCache,
        removal: EntryRemoval,
        quarantine: Quarantine,
        clock: Clock,
        host: str,
        has_nova: bool = True,
    ) -> None:
        self._has_nova = has_nova
        self._cache = cache
        self._removal = removal
        self._quarantine = quarantine
        self._clock = clock
        self._host = host

    def move_known(self, image: ImageId, wait: Callable[[], None]) -> None:
        """Move the image's entry to the quarantine if it is known to be corrupt without a read of its content.

        Then it can be fetched again. wait: called some ten times a second while another uses the entry; what it raises
        ends the wait. Raises EntryCorrupt if it stays, CacheUnusable.
        """
        path = self._cache.path_of(image)
        try:
            # Most entries have no fault; so the lock is taken only if one is seen without it.
            while _known_fault(look_at(path, self._cache.records)):
                with self._cache.locks.hold(path.name, wait):
                    look = look_at(path, self._cache.records)
                if look is None or not (fault := _known_fault(look)):
                    return
                result = self.end(image, look, fault, wait)
                if result is not None and os.path.lexists(path):
                    raise EntryCorrupt(image, str(path), result.reason)
        except PermissionError:
            return  # it is not known to be corrupt; its boots run as another user, who may read it
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error

    def set_alarms(self) -> None:
        """Set the alarms of the entries that earlier processes have found corrupt, and that had to stay."""
        with suppress(OSError), self._cache.records.reader() as read:
            for entry in self._cache.records.entries():
                record, path = read(entry), self._cache.directory / entry
                if record is not None and record.fault and os.path.lexists(path):
                    text = _stays_text(path, record.image, self._host, record.fault)
                    self._cache.alarms.set(AlarmKind.CORRUPT, entry, record.image, text, record.corrupt_at)

    def end_absent(self, entry: str) -> OperationResult:
        """Return that the image is not there; or that it was corrupt, also if the process that found that has died.

        Raises CacheUnusable.
        """
        self._cache.check_exists()
        self._cache.alarms.clear(AlarmKind.CORRUPT, entry)
        copy = self._quarantine.copy_text(entry)
        if not copy:
            return OperationResult(Outcome.ABSENT)
        return OperationResult(Outcome.CORRUPT, f"it is not in the cache; {copy}; a purge of the image removes it")

    def end(self, image: ImageId, look: EntryLook, fault: str, wait: Callable[[], None]) -> OperationResult | None:
        """Move the entry to the quarantine, unless it is in use; return None if it has changed meanwhile.

        look, fault: what was found corrupt, and why. wait: as for `move_known`. Raises OSError.
        """
        path = look.path
        if self._has_nova:
            wait_for_boots(path, look.record, self._clock, wait)
        with self._cache.locks.hold(path.name, wait):
            now = look_at(path, self._cache.records)
            if now is None or not now.is_same_file(look) or now.digest != look.digest:
                return None
            use = self._removal.use_of(path.name)
            if use is None:
                return OperationResult(Outcome.CORRUPT, f"{fault}; {self._move(image, now)}")
            reason = f"{fault}; it stays, because {use.detail}"
            text = _stays_text(path, image, self._host, reason)
            _log.error("%s", text)
            self._cache.alarms.set(AlarmKind.CORRUPT, path.name, image, text)
            if now.record is not None and now.record.fault != fault:
                self._cache.records.update(replace(now.record, fault=fault, corrupt_at=self._clock.now()))
            return OperationResult(Outcome.CORRUPT, reason)

    def _move(self, image: ImageId, look: EntryLook) -> str:
        """Move the entry to the quarantine, and return what was done. The caller holds the lock. Raises OSError."""
        entry, record = look.path.name, look.record
        moved_to = self._quarantine.move(entry)
        is_pinned = record is not None and bool(record.pins)
        if record is None or not is_pinned:
            self._cache.records.remove(entry)
        elif record.fault:
            self._cache.records.update(replace(record, fault="", corrupt_at=None))
        remove_overlays(self._cache.directory, entry)
        self._cache.locks.remove_file(entry)
        done = "it was removed, because the disk has no space to keep it"
        if moved_to is not None:
            done = f"it was moved to {moved_to}"
        then = "the next boot or job fetches the image again"
        if is_pinned:
            then = "it is pinned, so it is fetched again if [image_cache] restore_pinned is on"
        self._cache.removals.note(Removal(entry, image, self._clock.now(), f"corrupt; {done}"))
        self._cache.alarms.clear(AlarmKind.CORRUPT, entry)
        _log.error("The entry %s of image %s on %s was corrupt; %s", look.path, image, self._host, done)
        return f"{done}; {then}"


def _stays_text(path: Path, image: ImageId, host: str, reason: str) -> str:
    return (
        f"The entry {path} of image {image} on {host} is corrupt: {reason}. Disks made on it are wrong, too: rebuild "
        "these instances, then verify the image again"
    )


def _known_fault(look: EntryLook | None) -> str:
    """Return what is wrong with the entry, as far as that is known; empty for what every fetch replaces or refuses."""
    if look is None:
        return ""
    mode = look.found.st_mode
    if not (stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and look.size_bytes)):
        return ""
    return look.fault or ("" if look.record is None else look.record.fault)
