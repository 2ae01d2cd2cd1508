"""Values of one image file, and the rule for the id of an image; no I/O."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precache.core.images import ImageId, ImageStatus

# The UUID name space of image ids. Changing it would change the id of every image.
_NAMESPACE = uuid.UUID("6d4c2b52-6a2f-5d0e-9c1c-3f1d1b0f7e24")

NO_DATA_STATUSES = frozenset({ImageStatus.QUEUED, ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies the state of a file that was hashed; a write or a replacement changes one of the three values."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Fingerprint:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file's content after reading it once."""

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
    """Return the id for this content and name. It changes if either of them changes.

    Caches treat images as immutable, so a replaced file must be a new image.
    """
    return ImageId(str(uuid.uuid5(_NAMESPACE, f"{sha512} {printable(file_name)}")))


def printable(file_name: str) -> str:
    """Return a file name as valid text; bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(file_name).decode("utf-8", "replace")
