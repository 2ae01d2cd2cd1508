"""The removal of many files: what is in use is read once for some dozens of them, because it takes a look at each disk.

It is read when the locks of these files are held. So the check is as good as that of one file alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from precache.core.errors import CacheUnusable
from precache.imagecache.cleaning.entry_removal import LOCKED, EntryRemoval, RemovalResult
from precache.imagecache.entry_lock import EntryLocks
from precache.rules.expiry import CacheFile

MOST_AT_ONCE = 50
"""Boots from these images wait until the disks were looked at, for some tenths of a second."""


class BatchRemoval:
    """Removes files from one cache. What was used since it was looked at stays."""

    def __init__(self, *, locks: EntryLocks, removal: EntryRemoval) -> None:
        self._locks = locks
        self._removal = removal

    def remove_each(self, files: Sequence[tuple[CacheFile, str]]) -> Iterator[RemovalResult]:
        """Remove the files that can be removed; yield a result for each. files: with the reasons."""
        for begin in range(0, len(files), MOST_AT_ONCE):
            part = files[begin : begin + MOST_AT_ONCE]
            with ExitStack() as held:
                obstacles = self._obstacles(held, [file for file, _ in part])
                results = [
                    obstacle or self._removal.remove_free(file, reason)
                    for (file, reason), obstacle in zip(part, obstacles, strict=True)
                ]
            yield from results

    def remove_all(self, files: Sequence[CacheFile], reason: str) -> list[RemovalResult | None]:
        """Remove the first dozens of the files, unless something stands against one of them: then remove none.

        Return a result for each of them; None if only others stand against it.
        """
        part = files[:MOST_AT_ONCE]
        with ExitStack() as held:
            obstacles = self._obstacles(held, part)
            if any(obstacles):
                return obstacles
            return [self._removal.remove_free(file, reason) for file in part]

    def _obstacles(self, held: ExitStack, files: Sequence[CacheFile]) -> list[RemovalResult | None]:
        """Take the locks of the files that are free, and return what stands against the removal of each."""
        taken = [self._take(held, file.name) for file in files]
        if all(taken):
            return taken
        usage = self._removal.usage()
        return [obstacle or self._removal.obstacle(file, usage) for file, obstacle in zip(files, taken, strict=True)]

    def _take(self, held: ExitStack, name: str) -> RemovalResult | None:
        """Take the lock of the file; return why that is not possible."""
        try:
            return None if held.enter_context(self._locks.hold_if_free(name)) else LOCKED
        except CacheUnusable as error:
            return self._removal.failed(name, error)
