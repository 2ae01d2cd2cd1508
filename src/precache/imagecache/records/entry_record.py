"""What is known of an entry, and the text of its record: one JSON object.

Readers ignore fields that they do not know; another version is not read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from precache.core.errors import PrecacheError
from precache.core.images import ImageId, parse_image_id
from precache.core.pins import Pin, pinned_until
from precache.core.text import plain_line

_VERSION = 2
_PINS_ONLY = 1
"""The version of the previous release: the image, and until when it is kept."""

FROM_IMAGE_SERVICE, FROM_HOSTS, ADOPTED = "image service", "hosts of the site", "adopted"
"""Sources of entries; an adopted one was made by another program."""

MOST_BYTES = 1 << 16
_MOST_CHARACTERS = 255
_DIGEST = re.compile(r"[a-z0-9-]{1,32}:[0-9a-f]{32,256}")
NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, PrecacheError)
"""What the reading of a file raises that holds anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """What is known of an entry; the fields are those of `CachedEntry`. Times are aware.

    image_family: as of `Image`.
    digest: of the entry's bytes. size_bytes: of the entry; None if unknown.
    form: `raw` if the image was converted, else `as-is`; empty if unknown. It says in which relay the entry is.
    fault, corrupt_at: what a verification found wrong, and when, if the entry stays because disks stand on it.
    """

    image: ImageId
    image_name: str = ""
    image_family: str = ""
    digest: str = ""
    source: str = ""
    source_digest: str = ""
    size_bytes: int | None = None
    format: str = ""
    form: str = ""
    requested_by: str = ""
    cached_at: datetime | None = None
    verified_at: datetime | None = None
    fault: str = ""
    corrupt_at: datetime | None = None
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
        """Raises one of NO_RECORD for anything that is not a record."""
        fields: dict[str, Any] = json.loads(text)
        version, image = fields["version"], parse_image_id(fields["image"])
        if version == _PINS_ONLY:
            return cls(image=image, pins=(Pin("", _instant(fields["kept_until"])),))
        if version != _VERSION:
            raise ValueError(f"it has version {version!r}, and only {_PINS_ONLY} and {_VERSION} are known")
        texts = ("image_name", "image_family", "source", "format", "form", "requested_by", "fault")
        return cls(
            image=image,
            **{name: plain_line(fields.get(name, ""), _MOST_CHARACTERS) for name in texts},
            digest=_digest(fields.get("digest", "")),
            source_digest=_digest(fields.get("source_digest", "")),
            size_bytes=_size(fields.get("size_bytes")),
            cached_at=_optional_instant(fields.get("cached_at")),
            verified_at=_optional_instant(fields.get("verified_at")),
            corrupt_at=_optional_instant(fields.get("corrupt_at")),
            pins=tuple(Pin(str(pin["by"]), _optional_instant(pin.get("until"))) for pin in fields.get("pins", ())),
        )

    def text(self) -> bytes:
        """Return the record as it is stored; fields without a value are left out."""
        document = {
            "version": _VERSION,
            "image": self.image,
            "image_name": self.image_name,
            "image_family": self.image_family,
            "digest": self.digest,
            "source": self.source,
            "source_digest": self.source_digest,
            "size_bytes": self.size_bytes,
            "format": self.format,
            "form": self.form,
            "requested_by": self.requested_by,
            "cached_at": _text_of(self.cached_at),
            "verified_at": _text_of(self.verified_at),
            "fault": self.fault,
            "corrupt_at": _text_of(self.corrupt_at),
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
