"""Copies of the pins of a cache, in another directory: the cache may be emptied, or its disk replaced.

A copy is a record with nothing but the image and its pins. Who changes one holds the lock of the entry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from precache.core.pins import merge_pins
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import make_directory
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.imagecache.records.entry_records import EntryRecords, FileVersion
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

Reader = Callable[[str], EntryRecord | None]


class PinCopies:
    """The copies in one directory, which is made when it is needed. For any number of threads."""

    def __init__(self, *, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._is_faulty = False
        self.records = EntryRecords(directory=directory, clock=clock, is_copy=True)

    @contextmanager
    def added_to(self, read: Reader) -> Iterator[Reader]:
        """Return a function that returns what `read` returns, with the pins of the copy added, within the block."""
        with self.records.reader() as read_copy:
            yield lambda entry: _with_pins(read(entry), read_copy(entry))

    def store(self, record: EntryRecord) -> None:
        """Write the copy if it has not these pins. A fault of the disk is logged: the pins are in the record."""
        copy = EntryRecord(image=record.image, image_name=record.image_name, pins=record.pins)
        if self.records.read(entry_name(record.image)) == copy:
            return
        try:
            make_directory(self._directory)
            self.records.write(copy)
        except OSError as error:
            self._report(explain(error))
        else:
            self._is_faulty = False

    def versions(self) -> dict[str, FileVersion]:
        """Return the entries for which there is a copy, with its version; none after a fault, which is logged."""
        try:
            return self.records.versions()
        except OSError as error:
            self._report(explain(error))
            return {}

    def _report(self, fault: str) -> None:
        """Log a fault of the disk, once until a copy is written."""
        if not self._is_faulty:
            _log.error(
                "The copies of pins in %s cannot be read or written, so pins are lost if the cache is emptied: %s",
                self._directory,
                fault,
            )
        self._is_faulty = True


def _with_pins(record: EntryRecord | None, copy: EntryRecord | None) -> EntryRecord | None:
    """Return the record with the pins of both; where both have one by the same, that which ends later counts."""
    if copy is None or not copy.pins or (record is not None and record.pins == copy.pins):
        return record
    if record is None:
        return replace(copy, source=ADOPTED)
    return replace(record, pins=merge_pins(record.pins, copy.pins))
