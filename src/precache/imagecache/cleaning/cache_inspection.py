"""One look of the cleaner at a cache: the files, their ages, what uses them, and the space that they take."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from precache.core.cache_entries import CacheSpace
from precache.core.errors import CacheUnusable
from precache.core.pins import pins_text
from precache.imagecache.cleaning.beginning_boots import BOOT_TIME
from precache.imagecache.cleaning.cleaner_memory import Remembered
from precache.imagecache.cleaning.entry_removal import LATE_TEXT, EntryRemoval, users_text
from precache.imagecache.os_errors import explain
from precache.rules.eviction import Candidate
from precache.rules.expiry import CacheFile, ExpiryLimits, expired, shape_of

_BOOTING = "in flight: it was used a moment ago, and a boot may be making its disk"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. disks: that stand on each file. space: of the file system and the cache.

    lateness: how long it may take until a new disk is known.
    """

    files: Mapping[str, CacheFile]
    disks: Mapping[str, Sequence[Path]]
    known: Remembered
    space: CacheSpace
    lateness: timedelta = timedelta()

    @property
    def now(self) -> datetime:
        return self.known.reading.now

    def unused_for(self, file: CacheFile) -> timedelta:
        return self.known.ages[file.name].unused_for

    def unused_text(self, file: CacheFile) -> str:
        """Return `unused for 26 h`; within the first hour `unused for 7 min`."""
        unused_for = max(self.unused_for(file), timedelta())
        hours = unused_for // timedelta(hours=1)
        return f"unused for {hours} h" if hours else f"unused for {unused_for // timedelta(minutes=1)} min"

    def expired(self, limits: ExpiryLimits) -> list[CacheFile]:
        """Return the unused files that have expired, oldest first."""
        aged = (
            replace(file, last_used=self.now - self.unused_for(file))
            for file in self.files.values()
            if not self._is_late(file)
        )
        return [self.files[file.name] for file in expired(aged, self.disks, self.now, limits)]

    def oldest_first(self) -> list[CacheFile]:
        return sorted(self.files.values(), key=lambda file: (-self.unused_for(file), file.name))

    def hindrance(self, file: CacheFile) -> str:
        """Return why the file must stay, in words; empty if nothing is known."""
        if file.name in self.disks:
            return users_text(self.disks[file.name])
        if file.pins:
            return f"pinned {pins_text(file.pins, self.now)}"
        if self._is_late(file):
            return LATE_TEXT.format(self.lateness // timedelta(minutes=1))
        return _BOOTING if self._is_settling(file) else ""

    def _is_late(self, file: CacheFile) -> bool:
        """Return whether another host may have a disk on the file that is not known yet."""
        return timedelta() <= self.unused_for(file) < self.lateness

    def _is_settling(self, file: CacheFile) -> bool:
        """Return whether a boot may have found the file, and not made its disk yet."""
        is_booting = not file.is_new and timedelta() <= self.unused_for(file) < BOOT_TIME
        return is_booting or self._is_late(file)

    def candidates(self, in_flight: Collection[str]) -> list[Candidate]:
        """Return all files for the choice of what is evicted. in_flight: those that could not be removed just now."""
        seen = self.known.disks_seen
        return [
            Candidate(
                name=file.name,
                unused_for=self.unused_for(file),
                size_bytes=file.size_bytes,
                disks_seen=seen[file.name].count if file.name in seen else 0,
                is_pinned=bool(file.pins),
                is_in_use=file.name in self.disks,
                is_in_flight=file.name in in_flight or self._is_settling(file),
            )
            for file in self.files.values()
        ]


def list_files(directory: Path, removal: EntryRemoval) -> dict[str, CacheFile] | None:
    """Return the files that have Nova's shapes, by name; None if the directory is gone. Raises CacheUnusable."""
    try:
        with os.scandir(directory) as entries:
            names = [each.name for each in entries if shape_of(each.name) and each.is_file(follow_symlinks=False)]
        found = (removal.look(name) for name in names)
        return {file.name: file for file in found if file is not None}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheUnusable(str(directory), explain(error)) from error
