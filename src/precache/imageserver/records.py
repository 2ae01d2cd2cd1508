"""What the embedded image service knows of one image file. Values and the rule that names an image; no I/O."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precache.core.images import ImageId, ImageStatus

# The name space of all ids that this service gives out. Changing it gives every image a new id.
_NAMESPACE = uuid.UUID("6d4c2b52-6a2f-5d0e-9c1c-3f1d1b0f7e24")

NO_DATA_STATUSES = frozenset({ImageStatus.QUEUED, ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Returns whether a file is still the one that was hashed; any write or replacement changes one of the three."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Fingerprint:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What reading a file once has told about its content."""

    sha512: str
    md5: str
    disk_format: str
    virtual_size_bytes: int | None


@dataclass(frozen=True, slots=True)
class LibraryImage:
    """One image as the service shows it.

    overrides: fields of the Glance record that are set by hand, such as `status`.
    """

    file_name: str
    path: Path
    fingerprint: Fingerprint
    facts: FileFacts
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> ImageId:
        return image_id(self.file_name, self.facts.sha512)

    @property
    def status(self) -> str:
        return str(self.overrides.get("status", ImageStatus.ACTIVE))

    @property
    def has_data(self) -> bool:
        return self.status not in NO_DATA_STATUSES and self.fingerprint.size_bytes > 0


def image_id(file_name: str, sha512: str) -> ImageId:
    """Return the id of this content under this name: the same for ever, and another one when either changes.

    Images are immutable to whoever caches them, so a replaced file has to be a new image.
    """
    return ImageId(str(uuid.uuid5(_NAMESPACE, f"{sha512} {printable(file_name)}")))


def printable(file_name: str) -> str:
    """Return a file name as text that can be encoded; bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(file_name).decode("utf-8", "replace")
