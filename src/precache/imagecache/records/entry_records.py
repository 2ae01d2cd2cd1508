"""The records of a cache's entries: what Precache knows of each, in a small file beside it.

The file is `<entry>.precache`, which Nova's cleaner ignores. It is changed only under the entry's lock. It is written
before the entry is published and removed after it, so an entry that Precache made has a record; a record says nothing
without its entry.

The pins of an entry are also in a copy outside of the cache, because a cache may be emptied or get another disk, and
its records go with it. The pins are those of both files. They are removed from the copy first.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from precache.imagecache.names import entry_name, parse_record, record_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.records.entry_record import MOST_BYTES, NO_RECORD, EntryRecord
from precache.imagecache.staging import Staging, create_file
from precache.ports.clock import Clock

if TYPE_CHECKING:
    from precache.imagecache.records.pin_copies import PinCopies

_log = logging.getLogger(__name__)

FileVersion = tuple[int, int]
"""The inode of a file, and its ctime, which changes with each change of the file."""


def version_of(found: os.stat_result) -> FileVersion:
    return found.st_ino, found.st_ctime_ns


def _read_record(entry: str, directory: int) -> EntryRecord:
    """Raises OSError, or one of NO_RECORD if the file holds anything else, or the record of another entry."""
    fd = open_own(record_name(entry), directory)
    try:
        record = EntryRecord.read(os.read(fd, MOST_BYTES))
    finally:
        os.close(fd)
    if entry_name(record.image) != entry:
        raise ValueError(f"it is that of image {record.image}")
    return record


def _following(earlier: EntryRecord, record: EntryRecord) -> EntryRecord:
    return replace(record, pins=earlier.pins, requested_by=record.requested_by or earlier.requested_by)


def _read_nothing(_entry: str) -> EntryRecord | None:
    return None


class EntryRecords:
    """The records of one cache directory, which may not exist. For any number of threads."""

    def __init__(
        self, *, directory: Path, clock: Clock, copies: PinCopies | None = None, is_copy: bool = False
    ) -> None:
        """copies: of the pins; None for none. is_copy: whether these are such copies, for the log."""
        self._is_copy = is_copy
        self._directory = directory
        self._clock = clock
        self._copies = copies
        self._reported: dict[str, str] = {}

    def entries(self) -> Iterator[str]:
        """Return the entries for which there is a record or a copy, whatever is in it. Raises OSError."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            names = []
        found = {entry for name in names if (entry := parse_record(name)) is not None}
        return iter(sorted(found.union(self.copied())))

    def copied(self) -> dict[str, FileVersion]:
        """Return the entries for which there is a copy, with its version."""
        return {} if self._copies is None else self._copies.versions()

    def versions(self) -> dict[str, FileVersion]:
        """Return the entries for which there is a record in this directory, with its version. Raises OSError."""
        found: dict[str, FileVersion] = {}
        with suppress(FileNotFoundError), os.scandir(self._directory) as names:
            for name in names:
                if (entry := parse_record(name.name)) is not None:
                    with suppress(FileNotFoundError):  # it was removed meanwhile
                        found[entry] = version_of(name.stat(follow_symlinks=False))
        return found

    def read(self, entry: str) -> EntryRecord | None:
        """Return the entry's record; None if there is none, or it cannot be used. The latter is logged once."""
        with self.reader() as read:
            return read(entry)

    def fault_of(self, entry: str) -> str:
        """Return why the last read of the entry's record failed; empty if there was none, or it could be used."""
        return self._reported.get(entry, "")

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], EntryRecord | None]]:
        """Return a function that is as `read`, and quicker for many entries, within the block."""
        with ExitStack() as opened:
            try:
                directory = opened.enter_context(open_directory(self._directory))
                read: Callable[[str], EntryRecord | None] = partial(self._read, directory=directory)
            except OSError:
                read = _read_nothing
            yield read if self._copies is None else opened.enter_context(self._copies.added_to(read))

    def _read(self, entry: str, directory: int) -> EntryRecord | None:
        record, reason = None, ""
        try:
            record = _read_record(entry, directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            reason = explain(error)
        except NO_RECORD as error:
            reason = f"{type(error).__name__}: {error}"
        self._report(entry, reason)
        return record

    def _report(self, entry: str, reason: str) -> None:
        """Log why the record cannot be used, unless that is logged already. reason: empty if it can be used."""
        if not reason:
            self._reported.pop(entry, None)
        elif self._reported.get(entry) != reason:
            self._reported[entry] = reason
            if self._is_copy:
                _log.error(
                    "The copy %s of pins cannot be used, so only those in the record of the entry count: %s",
                    self._directory / record_name(entry),
                    reason,
                )
                return
            pins = "is not pinned" if self._copies is None else "has only the pins of which there is a copy,"
            _log.error(
                "The record %s cannot be used, so its image %s and cannot be verified: %s; pin the image again if it "
                "is to stay",
                self._directory / record_name(entry),
                pins,
                reason,
            )

    def write(self, record: EntryRecord, staging: Staging | None = None) -> None:
        """Store the record durably, in place of the earlier one. The caller holds the entry's lock. Raises OSError.

        staging: of the caller, for the temporary file.
        """
        entry = entry_name(record.image)
        if self._copies is not None and not record.pins:
            self._copies.records.remove(entry)
        if staging is not None:
            self._write(record, staging)
        else:
            staging = Staging(self._directory, entry)
            try:
                with staging.alive():
                    self._write(record, staging)
            finally:
                staging.discard()
        if self._copies is not None and record.pins:
            self._copies.store(record)

    def update(self, record: EntryRecord) -> bool:
        """Write the record and return True; log an error of the disk. The caller holds the entry's lock."""
        try:
            self.write(record)
        except OSError as error:
            _log.warning("The record of image %s cannot be written: %s", record.image, explain(error))
            return False
        return True

    def has_all(self, entry: str) -> bool:
        """Return whether the record is there and the copy has the same pins."""
        if self._copies is None:
            return True
        copy = self._copies.records.read(entry)
        with suppress(OSError, *NO_RECORD), open_directory(self._directory) as directory:
            return _read_record(entry, directory).pins == (() if copy is None else copy.pins)
        return False

    def _write(self, record: EntryRecord, staging: Staging) -> None:
        text = record.text()
        if len(text) > MOST_BYTES:
            raise OSError(
                errno.EFBIG, "it would be too long; unpin what is no longer needed", record_name(staging.entry)
            )
        draft = staging.path("record")
        create_file(draft, text)
        publish(draft, self._directory / record_name(staging.entry), self._clock.now())

    def describe(self, record: EntryRecord, staging: Staging) -> None:
        """Store the record of an entry that will be published now, with the pins that it has already.

        The job of an earlier record stays if none has requested the image now: a pinned image is restored. A fault of
        the disk is logged: the entry is of use without a record. Then an earlier record stays only if it is of the same
        content. The caller holds the entry's lock.
        """
        earlier = self.read(staging.entry)
        try:
            self.write(record if earlier is None else _following(earlier, record), staging)
        except OSError as error:
            _log.error(
                "The record of image %s could not be written, so the image will be in the cache without it, and "
                "cannot be verified: %s",
                record.image,
                explain(error),
            )
            if earlier is not None and not earlier.is_of_same_content(record):
                with suppress(OSError):
                    self._remove_file(staging.entry)

    def withdraw(self, entry: str) -> None:
        """Remove the record of an entry that was not published after all, unless it is pinned; log faults of the disk.

        The caller holds the entry's lock.
        """
        record = self.read(entry)
        if record is not None and record.pins:
            return
        try:
            self.remove(entry)
        except OSError as error:
            _log.warning("The record of %s, which is not in the cache, could not be removed: %s", entry, explain(error))

    def remove(self, entry: str) -> None:
        """Remove the record; harmless if there is none. The caller holds the entry's lock. Raises OSError."""
        if self._copies is not None:
            self._copies.records.remove(entry)
        self._remove_file(entry)

    def _remove_file(self, entry: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            (self._directory / record_name(entry)).unlink()
        self._reported.pop(entry, None)
