"""The record of an entry: what Precache knows of it, in a small file beside it.

The file is `<entry>.precache`, one JSON object, which Nova's cleaner ignores. It is changed only under the entry's
lock. It says nothing without its entry. Readers ignore fields that they do not know; another version is not read.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from precache.core.errors import PrecacheError
from precache.core.images import ImageId, parse_image_id
from precache.imagecache.names import entry_name, parse_record, record_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import Staging, create_file
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_VERSION = 1
_MOST_BYTES = 1 << 16
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, PrecacheError)
"""What the reading of a file raises that holds anything else."""


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What is known of an entry. kept_until: aware; the entry is to stay until then."""

    image: ImageId
    kept_until: datetime

    @classmethod
    def read(cls, text: bytes) -> EntryRecord:
        """Raises one of _NO_RECORD for anything that is not a record."""
        fields: dict[str, Any] = json.loads(text)
        if fields["version"] != _VERSION:
            raise ValueError(f"it has version {fields['version']!r}, and only {_VERSION} is known")
        record = cls(parse_image_id(fields["image"]), datetime.fromisoformat(fields["kept_until"]))
        if record.kept_until.tzinfo is None:
            raise ValueError("its time has no time zone")
        return record

    def text(self) -> bytes:
        document = {"version": _VERSION, "image": self.image, "kept_until": self.kept_until.isoformat()}
        return json.dumps(document).encode() + b"\n"


class EntryRecords:
    """The records of one cache directory, which may not exist. For any number of threads."""

    def __init__(self, *, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._reported: dict[str, str] = {}

    def entries(self) -> Iterator[str]:
        """Return the entries for which there is a record, whatever is in it. Raises OSError."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            names = []
        return (entry for name in sorted(names) if (entry := parse_record(name)) is not None)

    def read(self, entry: str) -> EntryRecord | None:
        """Return the entry's record; None if there is none, or it cannot be used. The latter is logged once."""
        try:
            with open_directory(self._directory) as directory:
                fd = open_own(record_name(entry), directory)
            with os.fdopen(fd, "rb") as file:
                record = EntryRecord.read(file.read(_MOST_BYTES))
            if entry_name(record.image) != entry:
                raise ValueError(f"it is that of image {record.image}")
        except FileNotFoundError:
            record = None
        except OSError as error:
            self._report(entry, explain(error))
            return None
        except _NO_RECORD as error:
            self._report(entry, f"{type(error).__name__}: {error}")
            return None
        self._reported.pop(entry, None)
        return record

    def write(self, record: EntryRecord) -> None:
        """Store the record durably, in place of the earlier one. The caller holds the entry's lock. Raises OSError."""
        entry = entry_name(record.image)
        staging = Staging(self._directory, entry)
        try:
            with staging.alive():
                draft = staging.path("record")
                create_file(draft, record.text())
                publish(draft, self._directory / record_name(entry), self._clock.now())
        finally:
            staging.discard()

    def remove(self, entry: str) -> None:
        """Remove the record; harmless if there is none. The caller holds the entry's lock. Raises OSError."""
        (self._directory / record_name(entry)).unlink(missing_ok=True)
        self._reported.pop(entry, None)

    def _report(self, entry: str, reason: str) -> None:
        if self._reported.get(entry) != reason:
            path = self._directory / record_name(entry)
            _log.error(
                "The record %s cannot be used, so its image is not kept: %s; request the image again with keep_for_s",
                path,
                reason,
            )
        self._reported[entry] = reason
