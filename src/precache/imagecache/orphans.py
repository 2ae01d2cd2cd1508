"""Temporary files of dead processes. A live one holds two locks: that of the entry, and that of its staging.

Nova's cleaner removes lock files of entries, so two processes can hold the entry's lock. The kernel releases both locks
when the process ends. So an orphan is a temporary file for which both locks are free.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.names import entry_of_temporary, token_of_temporary
from precache.imagecache.staging import hold_if_dead

_log = logging.getLogger(__name__)


def remove_orphans(directory: Path, locks: EntryLocks) -> list[str]:
    """Remove every orphan in the cache directory and return the names. Raises OSError, CacheUnusable."""
    fillings: dict[tuple[str, str], list[Path]] = {}
    for path in directory.iterdir():
        entry, token = entry_of_temporary(path.name), token_of_temporary(path.name)
        if entry is not None and token is not None:
            fillings.setdefault((entry, token), []).append(path)
    removed: list[str] = []
    for (entry, token), paths in fillings.items():
        with locks.hold_if_free(entry) as is_held:
            if is_held:
                removed += _remove_if_dead(directory, entry, token, paths)
    return removed


def _remove_if_dead(directory: Path, entry: str, token: str, paths: Iterable[Path]) -> list[str]:
    with hold_if_dead(directory, entry, token) as is_dead:
        return [_remove(path) for path in paths] if is_dead else []


def _remove(path: Path) -> str:
    path.unlink(missing_ok=True)
    _log.info("Removed %s of an interrupted transfer", path)
    return path.name
