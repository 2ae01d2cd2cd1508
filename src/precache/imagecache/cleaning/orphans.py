"""What is left beside the entries: temporary files of dead processes, and records of entries that are gone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.names import KEPT, KEPT_SIDE, parse_temporary
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.staging import hold_if_dead

_log = logging.getLogger(__name__)


def remove_orphans(directory: Path, locks: EntryLocks, records: EntryRecords) -> None:
    """Remove the files that no process and no entry needs. Raises OSError, CacheUnusable."""
    remove_temporary_files(directory, locks)
    remove_orphaned_records(directory, locks, records)


def remove_orphaned_records(directory: Path, locks: EntryLocks, records: EntryRecords) -> None:
    """Remove the records without an entry, unless they have pins. Raises OSError, CacheUnusable."""
    for entry in records.entries():
        if not os.path.lexists(directory / entry):
            _remove_record(directory, entry, locks, records)


def remove_temporary_files(directory: Path, locks: EntryLocks) -> None:
    """Remove the temporary files of dead processes. Raises OSError, CacheUnusable.

    A live process holds two locks: that of the entry, and that of its staging. Nova's cleaner removes lock files of
    entries, so two processes can hold the entry's lock. The kernel releases both locks when the process ends. So a
    file whose locks are both free is left over.
    """
    fillings: dict[tuple[str, str], list[Path]] = {}
    for path in directory.iterdir():
        filling = parse_temporary(path.name)
        if filling is not None and filling[1] not in (KEPT, KEPT_SIDE):
            fillings.setdefault(filling, []).append(path)
    for (entry, token), paths in fillings.items():
        with locks.hold_if_free(entry) as is_held:
            if is_held:
                _remove_if_dead(directory, entry, token, paths)


def _remove_if_dead(directory: Path, entry: str, token: str, paths: Iterable[Path]) -> None:
    with hold_if_dead(directory, entry, token) as is_dead:
        if is_dead:
            for path in paths:
                path.unlink(missing_ok=True)
                _log.info("Removed %s of an interrupted transfer", path)


def _remove_record(directory: Path, entry: str, locks: EntryLocks, records: EntryRecords) -> None:
    """Remove a record without an entry, unless the entry is pinned, so that it is to be restored, or being made."""
    with locks.hold_if_free(entry) as is_held:
        if not is_held or os.path.lexists(directory / entry):
            return
        record = records.read(entry)
        if record is not None and record.pins:
            return
        try:
            records.remove(entry)
            # While the lock is held, as when an entry is removed: who waits for it tries again.
            locks.remove_file(entry)
        except OSError as error:
            _log.warning("A record without an entry could not be removed from %s: %s", directory, explain(error))
        else:
            _log.info("Removed the record of %s, which is no longer in %s", entry, directory)
