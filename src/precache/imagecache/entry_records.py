"""The record of an entry: what Precache knows of it, in a small file beside it.

The file is `<entry>.precache`, one JSON object, which Nova's cleaner ignores. It is changed only under the entry's
lock. It is written before the entry is published and removed after it, so an entry that Precache made has a record; a
record says nothing without its entry. Readers ignore fields that they do not know; another version is not read.

The pins of an entry are also in a copy outside of the cache, because a cache may be emptied or get another disk, and
its records go with it. The pins are those of both files. They are removed from the copy first.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from precache.core.errors import PrecacheError
from precache.core.images import ImageId, parse_image_id
from precache.core.pins import Pin, merge_pins, pinned_until
from precache.core.text import plain_line
from precache.imagecache.names import entry_name, parse_record, record_name
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import make_directory
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import Staging, create_file
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_VERSION = 2
_PINS_ONLY = 1
"""The version of the previous release: the image, and until when it is kept."""

FROM_IMAGE_SERVICE, ADOPTED = "image service", "adopted"
"""Sources of entries; an adopted one was made by another program."""

_MOST_BYTES = 1 << 16
_MOST_CHARACTERS = 255
_DIGEST = re.compile(r"[a-z0-9-]{1,32}:[0-9a-f]{32,256}")
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, PrecacheError)
"""What the reading of a file raises that holds anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """What is known of an entry; the fields are those of `CachedEntry`. Times are aware.

    digest: of the entry's bytes. size_bytes: of the entry; None if unknown.
    """

    image: ImageId
    image_name: str = ""
    digest: str = ""
    source: str = ""
    source_digest: str = ""
    size_bytes: int | None = None
    format: str = ""
    requested_by: str = ""
    cached_at: datetime | None = None
    verified_at: datetime | None = None
    pins: tuple[Pin, ...] = ()

    def is_of_same_content(self, other: EntryRecord) -> bool:
        """Return whether both are of entries with the same content, as far as both records know."""
        return (self.source_digest, self.format, self.size_bytes) == (
            other.source_digest,
            other.format,
            other.size_bytes,
        )

    @property
    def kept_until(self) -> datetime | None:
        """Return the end of the last pin; None without pins."""
        return pinned_until(self.pins)

    @classmethod
    def read(cls, text: bytes) -> EntryRecord:
        """Raises one of _NO_RECORD for anything that is not a record."""
        fields: dict[str, Any] = json.loads(text)
        version, image = fields["version"], parse_image_id(fields["image"])
        if version == _PINS_ONLY:
            return cls(image=image, pins=(Pin("", _instant(fields["kept_until"])),))
        if version != _VERSION:
            raise ValueError(f"it has version {version!r}, and only {_PINS_ONLY} and {_VERSION} are known")
        texts = ("image_name", "source", "format", "requested_by")
        return cls(
            image=image,
            **{name: plain_line(fields.get(name, ""), _MOST_CHARACTERS) for name in texts},
            digest=_digest(fields.get("digest", "")),
            source_digest=_digest(fields.get("source_digest", "")),
            size_bytes=_size(fields.get("size_bytes")),
            cached_at=_optional_instant(fields.get("cached_at")),
            verified_at=_optional_instant(fields.get("verified_at")),
            pins=tuple(Pin(str(pin["by"]), _optional_instant(pin.get("until"))) for pin in fields.get("pins", ())),
        )

    def text(self) -> bytes:
        """Return the record as it is stored; fields without a value are left out."""
        document = {
            "version": _VERSION,
            "image": self.image,
            "image_name": self.image_name,
            "digest": self.digest,
            "source": self.source,
            "source_digest": self.source_digest,
            "size_bytes": self.size_bytes,
            "format": self.format,
            "requested_by": self.requested_by,
            "cached_at": _text_of(self.cached_at),
            "verified_at": _text_of(self.verified_at),
            "pins": [{"by": pin.by, "until": _text_of(pin.until)} for pin in self.pins],
        }
        return (
            json.dumps({name: value for name, value in document.items() if value not in ("", None, [])}).encode()
            + b"\n"
        )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("its time has no time zone")
    return instant


def _optional_instant(text: str | None) -> datetime | None:
    return None if text is None else _instant(text)


def _text_of(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _digest(text: str) -> str:
    if text and not _DIGEST.fullmatch(text):
        raise ValueError("its digest is none")
    return text


def _size(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError("its size is no number of bytes")
    return value


FileVersion = tuple[int, int]
"""The inode of a file, and its ctime, which changes with each change of the file."""


def version_of(found: os.stat_result) -> FileVersion:
    return found.st_ino, found.st_ctime_ns


def _read_record(entry: str, directory: int) -> EntryRecord:
    """Raises OSError, or one of _NO_RECORD if the file holds anything else, or the record of another entry."""
    fd = open_own(record_name(entry), directory)
    try:
        record = EntryRecord.read(os.read(fd, _MOST_BYTES))
    finally:
        os.close(fd)
    if entry_name(record.image) != entry:
        raise ValueError(f"it is that of image {record.image}")
    return record


def _read_nothing(_entry: str) -> EntryRecord | None:
    return None


def _with_pins(record: EntryRecord | None, copy: EntryRecord | None) -> EntryRecord | None:
    """Return the record with the pins of both; where both have one by the same, that which ends later counts."""
    if copy is None or not copy.pins or (record is not None and record.pins == copy.pins):
        return record
    if record is None:
        return replace(copy, source=ADOPTED)
    return replace(record, pins=merge_pins(record.pins, copy.pins))


class EntryRecords:
    """The records of one cache directory, which may not exist. For any number of threads."""

    def __init__(self, *, directory: Path, clock: Clock, copies: EntryRecords | None = None) -> None:
        """copies: of the pins, in another directory, which is made when it is needed; None for no copies."""
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
        return iter(sorted(found.union(self._copies.entries() if self._copies is not None else ())))

    def copied(self) -> dict[str, FileVersion]:
        """Return the entries for which there is a copy, with its version. Raises OSError."""
        return {} if self._copies is None else self._copies._versions()

    def _versions(self) -> dict[str, FileVersion]:
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

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], EntryRecord | None]]:
        """Return a function that is as `read`, and quicker for many entries, within the block."""
        with ExitStack() as opened:
            read_copy = opened.enter_context(self._copies.reader()) if self._copies is not None else _read_nothing
            try:
                directory = opened.enter_context(open_directory(self._directory))
            except OSError:
                yield read_copy
                return
            yield lambda entry: _with_pins(self._read(entry, directory), read_copy(entry))

    def _read(self, entry: str, directory: int) -> EntryRecord | None:
        record, reason = None, ""
        try:
            record = _read_record(entry, directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            reason = explain(error)
        except _NO_RECORD as error:
            reason = f"{type(error).__name__}: {error}"
        self._report(entry, reason)
        return record

    def _report(self, entry: str, reason: str) -> None:
        """Log why the record cannot be used, unless that is logged already. reason: empty if it can be used."""
        if not reason:
            self._reported.pop(entry, None)
        elif self._reported.get(entry) != reason:
            self._reported[entry] = reason
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
            self._copies.remove(entry)
        if staging is not None:
            self._write(record, staging)
        else:
            staging = Staging(self._directory, entry)
            try:
                with staging.alive():
                    self._write(record, staging)
            finally:
                staging.discard()
        self._copy(record)

    def _copy(self, record: EntryRecord) -> None:
        """Write the copy if it has not these pins. A fault of the disk is logged: the pins are in the record."""
        copy = EntryRecord(image=record.image, image_name=record.image_name, pins=record.pins)
        entry = entry_name(record.image)
        if self._copies is None or not record.pins or self._copies.read(entry) == copy:
            return
        try:
            make_directory(self._copies._directory)
            self._copies.write(copy)
        except OSError as error:
            _log.error(
                "The pins of image %s could not be copied to %s, so they are lost if the cache is emptied: %s",
                record.image,
                self._copies._directory,
                explain(error),
            )

    def has_all(self, entry: str) -> bool:
        """Return whether the record is there and the copy has the same pins."""
        if self._copies is None:
            return True
        copy = self._copies.read(entry)
        with suppress(OSError, *_NO_RECORD), open_directory(self._directory) as directory:
            return _read_record(entry, directory).pins == (() if copy is None else copy.pins)
        return False

    def _write(self, record: EntryRecord, staging: Staging) -> None:
        text = record.text()
        if len(text) > _MOST_BYTES:
            raise OSError(
                errno.EFBIG, "it would be too long; unpin what is no longer needed", record_name(staging.entry)
            )
        draft = staging.path("record")
        create_file(draft, text)
        publish(draft, self._directory / record_name(staging.entry), self._clock.now())

    def describe(self, record: EntryRecord, staging: Staging) -> None:
        """Store the record of an entry that will be published now, with the pins that it has already.

        A fault of the disk is logged: the entry is of use without a record. Then an earlier record stays only if it is
        of the same content. The caller holds the entry's lock.
        """
        earlier = self.read(staging.entry)
        try:
            self.write(record if earlier is None else replace(record, pins=earlier.pins), staging)
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
            self._copies.remove(entry)
        self._remove_file(entry)

    def _remove_file(self, entry: str) -> None:
        (self._directory / record_name(entry)).unlink(missing_ok=True)
        self._reported.pop(entry, None)
