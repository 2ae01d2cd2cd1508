"""Removes expired files by Nova's rule (`rules/expiry.py`), on hosts where no nova-compute does it.

One pass: find what is in use, reset the age of that, then remove what is unused and old enough. Each file is removed
under its own lock, after a second check of what is in use. What a job asked to keep stays. In doubt nothing is removed.
One pass at a time for each cache. The first pass after a start removes nothing, because file systems may not be mounted
or guests not be defined.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from precache.core.errors import CacheUnusable, DiskUnreadable, DomainsUnknown
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.entry_records import EntryRecords
from precache.imagecache.in_use import InstanceDisks, is_open_in_qemu
from precache.imagecache.os_errors import explain
from precache.imagecache.overlay_list import remove_overlays
from precache.ports.clock import Clock
from precache.rules.expiry import CacheFile, ExpiryLimits, Shape, expired, is_expired, shape_of

_log = logging.getLogger(__name__)


class Cleaner:
    """The cleaner of one cache directory. removes_unused: False to reset ages only."""

    def __init__(
        self,
        *,
        directory: Path,
        locks: EntryLocks,
        records: EntryRecords,
        disks: InstanceDisks,
        clock: Clock,
        limits: ExpiryLimits,
        removes_unused: bool = True,
    ) -> None:
        self._directory = directory
        self._locks = locks
        self._records = records
        self._disks = disks
        self._clock = clock
        self._limits = limits
        self._removes_unused = removes_unused
        self._passes = 0
        self._last_doubt: str | None = None

    def clean(self) -> list[str]:
        """Make one pass and return the names that were removed. Raises CacheUnusable if the cache cannot be read."""
        self._passes += 1
        try:
            files = self._list_files()
        except FileNotFoundError:
            return []  # as Nova: nothing is cached yet
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
        in_use = self._names_in_use()
        if in_use is None:
            return []
        for file in files:
            if file.name in in_use:
                self._reset_age(file)
        if not self._removes_unused or self._passes == 1:
            return []
        candidates = expired(files, in_use, self._clock.now(), self._limits)
        return [file.name for file in candidates if self._removed(file)]

    def _names_in_use(self) -> set[str] | None:
        """Return what is in use; None if that is unknown. Each reason is logged once, until it changes."""
        try:
            in_use = self._disks.names_in_use()
        except (DiskUnreadable, DomainsUnknown) as error:
            if str(error) != self._last_doubt:
                _log.warning(
                    "Nothing is removed from %s, because it is not known what is in use. %s", self._directory, error
                )
            self._last_doubt = str(error)
            return None
        if self._last_doubt is not None:
            _log.info("What is in use in %s is known again", self._directory)
        self._last_doubt = None
        return in_use

    def _list_files(self) -> list[CacheFile]:
        with os.scandir(self._directory) as found:
            names = [
                entry.name
                for entry in found
                if shape_of(entry.name) is not None and entry.is_file(follow_symlinks=False)
            ]
        files = (self._look(name) for name in names)
        return [file for file in files if file is not None]

    def _look(self, name: str) -> CacheFile | None:
        try:
            found = (self._directory / name).lstat()
        except FileNotFoundError:
            return None
        record = self._records.read(name) if shape_of(name) is Shape.IMAGE else None
        kept_until = None if record is None else record.kept_until
        return CacheFile(name, datetime.fromtimestamp(found.st_mtime, UTC), kept_until)

    def _reset_age(self, file: CacheFile) -> None:
        now = self._clock.now().timestamp()
        try:
            os.utime(self._directory / file.name, (now, now), follow_symlinks=False)
        except OSError as error:
            _log.warning("The age of %s, which is in use, could not be reset: %s", file.name, explain(error))

    def _removed(self, file: CacheFile) -> bool:
        try:
            with self._locks.hold_if_free(file.name) as is_held:
                # A lock that is held means use: a process fetches, copies or boots from it.
                return is_held and self._remove_if_still_unused(file.name)
        except (CacheUnusable, OSError) as error:
            reason = explain(error) if isinstance(error, OSError) else error
            _log.warning("Could not remove %s from %s: %s", file.name, self._directory, reason)
            return False

    def _remove_if_still_unused(self, name: str) -> bool:
        file = self._look(name)
        if file is None or not is_expired(file, self._clock.now(), self._limits):
            return False  # used since the first check
        in_use = self._names_in_use()
        if in_use is None or name in in_use:
            return False  # a disk was made or moved since the first check
        path = self._directory / name
        if is_open_in_qemu(path):
            self._reset_age(file)
            return False
        path.unlink()
        if shape_of(name) is Shape.IMAGE:
            remove_overlays(self._directory, name)
            self._records.remove(name)
            # While the lock is held: a process that waits for it sees that the file is gone, and tries again.
            self._locks.remove_file(name)
        _log.info("Removed %s from %s, unused since %s", name, self._directory, file.last_used)
        return True
