"""The removal of one file from the cache: the only way, whatever the reason is.

It is done under the file's own lock, if that is free, and after a check of everything that may need the file: pins,
other hosts of the site, disks, running qemu processes. In doubt the file stays. Which file is removed, and when, is
decided by the callers. Safe for several threads and processes.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path

from precache.core.cache_entries import Removal
from precache.core.errors import CacheUnusable, DiskUnreadable, DomainsUnknown, SharersUnknown
from precache.core.pins import pins_text
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.beginning_boots import is_new
from precache.imagecache.disks.in_use import UsedFiles, is_open_in_qemu
from precache.imagecache.disks.overlay_list import remove_overlays
from precache.imagecache.last_use import last_use
from precache.imagecache.os_errors import explain
from precache.imagecache.space.disk_usage import allocated_bytes
from precache.ports.clock import Clock
from precache.rules.expiry import CacheFile, Shape, shape_of

_log = logging.getLogger(__name__)


class Obstacle(Enum):
    """Why a file was not removed."""

    ABSENT = auto()
    LOCKED = auto()  # a process fetches, copies or boots from it
    PINNED = auto()
    SERVED = auto()  # other hosts of the site receive it from this one, or a newer version takes pieces from it
    IN_USE = auto()  # disks stand on it
    OPEN = auto()  # a running qemu has it open, and no list of disks says so
    USE_UNKNOWN = auto()  # it is not known what is in use
    USED_MEANWHILE = auto()  # since the caller, or the check, has looked at it
    FAILED = auto()  # an error of the disk, or not a file


_DISKS_NAMED = 3

LATE_TEXT = "it was used lately, and other hosts that share the cache name their new disks up to {} minutes later"


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What became of the file. obstacle: None if it was removed. detail: the reason in words, if one is known."""

    obstacle: Obstacle | None = None
    detail: str = ""
    bytes_freed: int = 0

    @property
    def is_removed(self) -> bool:
        return self.obstacle is None


LOCKED = RemovalResult(Obstacle.LOCKED, "another process fetches, copies or boots from it")


@dataclass(frozen=True, slots=True)
class Usage:
    """The names of the files in use, with the disks that stand on each; None if that is not known, and the reason.

    lateness: how long it may take until a new disk is known.
    """

    disks: Mapping[str, tuple[Path, ...]] | None
    doubt: str = ""
    lateness: timedelta = timedelta()

    @property
    def names(self) -> Collection[str] | None:
        return None if self.disks is None else self.disks.keys()


class EntryRemoval:
    """Removes files from one cache."""

    def __init__(self, *, cache: ImageCache, disks: UsedFiles, clock: Clock) -> None:
        self._cache = cache
        self._disks = disks
        self._clock = clock
        self._last_doubt = ""

    def remove(self, name: str, reason: str, *, even_pinned: bool = False) -> RemovalResult:
        """Remove the file with all that Precache keeps beside it, unless something stands against it.

        name: of an image, a resized copy or a blank. reason: for the log, such as `unused for 26 h`. Raises nothing of
        the disk.
        """
        try:
            with self._cache.locks.hold_if_free(name) as is_held:
                if not is_held:
                    return LOCKED
                file = self.look(name)
                if file is None:
                    return self._absent()
                return self._obstacle(file, even_pinned, None) or self._remove(file, reason)
        except (CacheUnusable, OSError) as error:
            return self.failed(name, error)

    def obstacle(self, file: CacheFile, usage: Usage) -> RemovalResult | None:
        """Return what stands against removing the file, also that it was used since it was looked at; else None.

        The caller has held its lock since before the usage was read. Raises nothing of the disk.
        """
        try:
            present = self.look(file.name)
            return self._change(file, present) or self._obstacle(present or file, False, usage)
        except OSError as error:
            return self.failed(file.name, error)

    def remove_free(self, file: CacheFile, reason: str) -> RemovalResult:
        """Remove a file against which `obstacle` has found nothing under the same lock. Raises nothing of the disk."""
        try:
            return self._remove(file, reason)
        except OSError as error:
            return self.failed(file.name, error)

    def failed(self, name: str, error: CacheUnusable | OSError) -> RemovalResult:
        """Log the error, and return it as a result."""
        why = explain(error) if isinstance(error, OSError) else str(error)
        _log.warning("Could not remove %s from %s: %s", name, self._cache.directory, why)
        return RemovalResult(Obstacle.FAILED, why)

    def check(self, name: str) -> RemovalResult | None:
        """Return what stands against removing the file that no list of disks says; None if nothing does.

        Nothing is removed. Raises nothing of the disk.
        """
        try:
            with self._cache.locks.hold_if_free(name) as is_held:
                if not is_held:
                    return LOCKED
                file = self.look(name)
                return self._absent() if file is None else self._service(name) or self._openness(name)
        except (CacheUnusable, OSError) as error:
            return RemovalResult(Obstacle.FAILED, explain(error) if isinstance(error, OSError) else str(error))

    def use_of(self, name: str, usage: Usage | None = None) -> RemovalResult | None:
        """Return what uses the file, or that this is not known; None if nothing does. The caller holds its lock.

        usage: read since the lock is held; None to read it now. The age of a file that a qemu has open is reset. Raises
        OSError.
        """
        usage = usage or self.usage()
        if usage.disks is None:
            return RemovalResult(Obstacle.USE_UNKNOWN, f"it is not known what is in use: {usage.doubt}")
        if name in usage.disks:
            return RemovalResult(Obstacle.IN_USE, users_text(usage.disks[name]))
        file = self.look(name)
        if file is not None and timedelta() <= self._clock.now() - file.last_used < usage.lateness:
            return RemovalResult(Obstacle.USE_UNKNOWN, LATE_TEXT.format(usage.lateness // timedelta(minutes=1)))
        opened = self._openness(name)
        if opened is not None:
            self.reset_age(name)
        return opened

    def _openness(self, name: str) -> RemovalResult | None:
        path = self._cache.directory / name
        if stat.S_ISREG(path.lstat().st_mode) and is_open_in_qemu(path):
            return RemovalResult(Obstacle.OPEN, f"a running qemu has {path} open, and no list of disks says which")
        return None

    def usage(self) -> Usage:
        """Return what is in use. A reason why that is not known is logged once, until it changes."""
        try:
            disks, lateness = self._disks.disks_by_file(), self._disks.lateness()
        except (DiskUnreadable, DomainsUnknown, SharersUnknown) as error:
            doubt = str(error)
            if doubt != self._last_doubt:
                _log.warning(
                    "Nothing is removed from %s, because it is not known what is in use. %s",
                    self._cache.directory,
                    doubt,
                )
            self._last_doubt = doubt
            return Usage(None, doubt)
        if self._last_doubt:
            _log.info("What is in use in %s is known again", self._cache.directory)
        self._last_doubt = ""
        return Usage(disks, lateness=lateness)

    def look(self, name: str) -> CacheFile | None:
        """Return the file with its pins; None if it is gone. Raises OSError."""
        try:
            found = (self._cache.directory / name).lstat()
        except FileNotFoundError:
            return None
        record = self._cache.records.read(name) if shape_of(name) is Shape.IMAGE else None
        last_used = last_use(found)
        size_bytes = allocated_bytes(found)
        if record is None:
            return CacheFile(name, last_used, size_bytes=size_bytes)
        return CacheFile(name, last_used, record.pins, size_bytes, record.image, is_new(last_used, record.cached_at))

    def reset_age(self, name: str) -> None:
        """Let the file's expiry begin now, because it is in use. An error is logged."""
        now = self._clock.now().timestamp()
        try:
            os.utime(self._cache.directory / name, (now, now), follow_symlinks=False)
        except OSError as error:
            _log.warning("The age of %s, which is in use, could not be reset: %s", name, explain(error))

    def _unpin(self, name: str) -> None:
        """Raises OSError."""
        record = self._cache.records.read(name)
        if record is not None:
            self._cache.records.write(replace(record, pins=()))

    def _absent(self) -> RemovalResult:
        return RemovalResult(Obstacle.ABSENT, f"it is not in {self._cache.directory}")

    def _change(self, file: CacheFile, present: CacheFile | None) -> RemovalResult | None:
        """Return that the file is gone, or was used since it was looked at; else None."""
        if present is None:
            return self._absent()
        if present.last_used == file.last_used:
            return None
        return RemovalResult(Obstacle.USED_MEANWHILE, f"it was used at {present.last_used}")

    def _obstacle(self, file: CacheFile, even_pinned: bool, usage: Usage | None) -> RemovalResult | None:
        """Raises OSError."""
        path = self._cache.directory / file.name
        if not stat.S_ISREG(path.lstat().st_mode):
            return RemovalResult(Obstacle.FAILED, f"{path} is not a file; move it elsewhere")
        if not even_pinned and file.pins:
            return RemovalResult(Obstacle.PINNED, f"pinned {pins_text(file.pins, self._clock.now())}")
        return self._service(file.name) or self.use_of(file.name, usage)

    def _service(self, name: str) -> RemovalResult | None:
        reason = self._cache.served.why_kept(name)
        return RemovalResult(Obstacle.SERVED, reason) if reason else None

    def _remove(self, file: CacheFile, reason: str) -> RemovalResult:
        """Remove the file unless a boot has found it while the disks were looked at. Raises OSError."""
        name = file.name
        if (change := self._change(file, self.look(name))) is not None:
            return change
        if file.pins:  # first: a pinned entry that is gone would be fetched again
            self._unpin(name)
        (self._cache.directory / name).unlink()
        if shape_of(name) is Shape.IMAGE:
            remove_overlays(self._cache.directory, name)
            self._cache.records.remove(name)
            # While the lock is held: a process that waits for it sees that the file is gone, and tries again.
            self._cache.locks.remove_file(name)
        _log.info("Removed %s from %s: %s", name, self._cache.directory, reason)
        self._cache.removals.note(Removal(name, file.image, self._clock.now(), reason, file.size_bytes))
        return RemovalResult(bytes_freed=file.size_bytes)


def users_text(disks: Sequence[Path]) -> str:
    """Return `in use by 5 disks: PATH, PATH, PATH and 2 more`."""
    named = ", ".join(map(str, disks[:_DISKS_NAMED]))
    more = f" and {len(disks) - _DISKS_NAMED} more" if len(disks) > _DISKS_NAMED else ""
    return f"in use by {len(disks)} {'disk' if len(disks) == 1 else 'disks'}: {named}{more}"
