"""Temporary files whose filler is dead. A live one, in whatever process, holds its entry's lock; the kernel
lets go of a dead one's. So an orphan is a temporary file whose lock can be had without waiting."""

from __future__ import annotations

import logging
from pathlib import Path

from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.names import entry_of_temporary

_log = logging.getLogger(__name__)


def remove_orphans(directory: Path, locks: EntryLocks) -> list[str]:
    """Remove every orphan in the cache directory and give the names. Raises OSError, CacheUnusable."""
    by_entry: dict[str, list[Path]] = {}
    for path in directory.iterdir():
        entry = entry_of_temporary(path.name)
        if entry is not None:
            by_entry.setdefault(entry, []).append(path)
    removed: list[str] = []
    for entry, paths in by_entry.items():
        with locks.hold_if_free(entry) as is_held:
            if is_held:
                removed += [_remove(path) for path in paths]
    return removed


def _remove(path: Path) -> str:
    path.unlink(missing_ok=True)
    _log.info("Removed %s, which a transfer that did not end had left", path)
    return path.name
