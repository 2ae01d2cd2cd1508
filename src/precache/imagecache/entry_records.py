"""The record of an entry: what Precache knows of it, in a small file beside it.

The file is `<entry>.precache`, one JSON object, which Nova's cleaner ignores. It is changed only under the entry's
lock. It says nothing without its entry. Readers ignore fields that they do not know; another version is not read.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from precache.core.errors import PrecacheError
from precache.core.images import ImageId, parse_image_id
from precache.core.pins import Pin, pinned_until
from precache.core.text import plain_line
from precache.imagecache.names import entry_name, parse_record, record_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import Staging, create_file
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_VERSION = 2
_PINS_ONLY = 1
"""The version of the previous release: the image, and until when it is kept."""

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
