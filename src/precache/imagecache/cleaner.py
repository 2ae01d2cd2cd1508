"""Removes expired files by Nova's rule (`rules/expiry.py`), on hosts where no nova-compute does it.

One pass: find what is in use, reset the age of that, then remove what is unused and old enough. Each file is removed
under its own lock, after a second check of what is in use. What a job asked to keep stays. In doubt nothing is removed.
One pass at a time for each cache. The first pass after a start removes nothing, because file systems may not be mounted
or guests not be defined.
"""

from __future__ import annotations

import os
from datetime import timedelta

from precache.core.errors import CacheUnusable
from precache.imagecache.cache import ImageCache
from precache.imagecache.entry_removal import EntryRemoval
from precache.imagecache.os_errors import explain
from precache.ports.clock import Clock
from precache.rules.expiry import CacheFile, ExpiryLimits, expired, is_expired, shape_of


class Cleaner:
    """The cleaner of one cache directory. removes_unused: False to reset ages only."""

    def __init__(
        self,
        *,
        cache: ImageCache,
        removal: EntryRemoval,
        clock: Clock,
        limits: ExpiryLimits,
        removes_unused: bool = True,
    ) -> None:
        self._directory = cache.directory
        self._removal = removal
        self._clock = clock
        self._limits = limits
        self._removes_unused = removes_unused
        self._passes = 0

    def clean(self) -> list[str]:
        """Make one pass and return the names that were removed. Raises CacheUnusable if the cache cannot be read."""
        self._passes += 1
        try:
            files = self._list_files()
        except FileNotFoundError:
            return []  # as Nova: nothing is cached yet
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
        in_use = self._removal.usage().names
        if in_use is None:
            return []
        for file in files:
            if file.name in in_use:
                self._removal.reset_age(file.name)
        if not self._removes_unused or self._passes == 1:
            return []
        candidates = expired(files, in_use, self._clock.now(), self._limits)
        return [file.name for file in candidates if self._is_removed(file)]

    def _list_files(self) -> list[CacheFile]:
        with os.scandir(self._directory) as found:
            names = [
                entry.name
                for entry in found
                if shape_of(entry.name) is not None and entry.is_file(follow_symlinks=False)
            ]
        files = (self._removal.look(name) for name in names)
        return [file for file in files if file is not None]

    def _is_removed(self, file: CacheFile) -> bool:
        hours = (self._clock.now() - file.last_used) // timedelta(hours=1)
        return self._removal.remove(file.name, f"unused for {hours} h", is_chosen=self._is_expired).is_removed

    def _is_expired(self, file: CacheFile) -> bool:
        return is_expired(file, self._clock.now(), self._limits)
