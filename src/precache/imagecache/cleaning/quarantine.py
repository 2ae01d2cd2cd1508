"""Corrupt files, moved from the names of entries to names that no boot looks for and that Nova's cleaner ignores.

They are kept for an operator who wants to know what went wrong: the newest of each image, few in all, for a week. They
are removed at once if their space is needed to fetch the image again. Safe for several threads and processes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from precache.core.cache_entries import Removal
from precache.imagecache.cleaning.removal_log import RemovalLog
from precache.imagecache.names import parse_quarantined, quarantine_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import open_directory
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.space.disk_usage import DiskSize, allocated_bytes, disk_size
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

QUARANTINE_AGE = timedelta(days=7)
MOST_QUARANTINED = 5
"""Of one cache; one of each image."""


class Quarantine:
    """The corrupt files of one cache directory, which may not exist. look: returns the size of its disk."""

    def __init__(self, *, directory: Path, clock: Clock, look: Callable[[Path], DiskSize] = disk_size) -> None:
        self._directory = directory
        self._clock = clock
        self._look = look
        self._reported: set[Path] = set()

    def move(self, entry: str) -> Path | None:
        """Take the name of the entry from its file, durably; return the new path, None if the file was removed.

        The caller holds the entry's lock, and has made sure that nothing uses the file. Raises OSError; then the file
        has its name still.
        """
        name = quarantine_name(entry, self._clock.now())
        with open_directory(self._directory) as directory:
            moved_bytes = allocated_bytes(os.stat(entry, dir_fd=directory, follow_symlinks=False))
            os.rename(entry, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        path = self._directory / name
        if self._look(self._directory).free_bytes < moved_bytes and self._is_removed(path, "its space is needed"):
            return None
        self.clean()
        return path

    def copy_text(self, entry: str) -> str:
        """Return where the newest corrupt copy of the entry is, in words; empty if there is none."""
        found = next(((moved_at, path) for name, moved_at, path in self._files() if name == entry), None)
        return "" if found is None else f"a corrupt copy of it is at {found[1]}, moved there at {found[0]}"

    def note_removals(self, removals: RemovalLog, records: EntryRecords) -> None:
        """Note, and log, what earlier processes have moved: one may have died before it told that."""
        for entry, moved_at, path in reversed(list(self._files())):
            record = records.read(entry)
            _log.warning("The corrupt file %s was moved there at %s; a purge of its image removes it", path, moved_at)
            image = None if record is None else record.image
            removals.note(Removal(entry, image, moved_at, f"corrupt; it was moved to {path}"))

    def remove(self, entry: str) -> bool:
        """Remove what was moved of the entry; return whether there was something."""
        mine = [path for name, _, path in self._files() if name == entry]
        removed = [path for path in mine if self._is_removed(path, "its image was purged")]
        return bool(removed)

    def clean(self) -> None:
        """Remove what is too old or too much."""
        seen: set[str] = set()
        oldest = self._clock.now() - QUARANTINE_AGE
        for entry, moved_at, path in self._files():
            if _is_full_directory(path):
                self._report(path)  # it is no copy of an image, and what is in it may be all that there is of it
            elif moved_at <= oldest:
                self._is_removed(path, f"it was kept for {QUARANTINE_AGE.days} days")
            elif entry in seen or len(seen) == MOST_QUARANTINED:
                self._is_removed(path, "newer ones are kept")
            else:
                seen.add(entry)

    def make_room(self, needed_bytes: int) -> int:
        """Remove files, the oldest first, until so many bytes are free; return how many are. It waits for no lock."""
        freed_bytes = 0
        for _, _, path in reversed(list(self._files())):
            if freed_bytes >= needed_bytes:
                break
            if _is_full_directory(path):
                continue
            size_bytes = _allocated_bytes(path)
            if self._is_removed(path, "its space is needed for an image"):
                freed_bytes += size_bytes
        return freed_bytes

    def _files(self) -> Iterator[tuple[str, datetime, Path]]:
        """Return the entry, the time and the path of each, the newest first."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except OSError:
            return iter(())  # there is no cache, or it cannot be read: its own passes log that
        found = [(*parsed, self._directory / name) for name in names if (parsed := parse_quarantined(name))]
        return iter(sorted(found, key=lambda each: (each[1], each[0]), reverse=True))

    def _report(self, path: Path) -> None:
        if path not in self._reported:
            _log.warning("%s was in the place of an image, and is a directory with files; move it elsewhere", path)
        self._reported.add(path)

    def _is_removed(self, path: Path, reason: str) -> bool:
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("The corrupt file %s cannot be removed: %s", path, explain(error))
            return False
        _log.info("Removed the corrupt file %s: %s", path, reason)
        return True


def _is_full_directory(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink() and any(path.iterdir())
    except OSError:
        return False


def _allocated_bytes(path: Path) -> int:
    try:
        return allocated_bytes(path.lstat())
    except OSError:
        return 0
