"""The record of a kept download, of kept pieces or of a kept decoding: what the data is, and who wants it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from precache.core.images import Image, ImageId
from precache.imagecache.space.disk_usage import allocated_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What shows whether a file was replaced or changed: the kernel sets `changed_ns`, which no program can choose.

    occupied_bytes: what it has on the disk, without holes.
    """

    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    occupied_bytes: int = field(compare=False)

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """Return the state of the file."""
        return cls(
            inode=found.st_ino,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
            changed_ns=found.st_ctime_ns,
            occupied_bytes=allocated_bytes(found),
        )

    @classmethod
    def read(cls, fields: dict[str, Any]) -> FileState:
        """Raises ValueError, TypeError for anything else."""
        if not all(isinstance(value, int) and value >= 0 for value in fields.values()):
            raise ValueError("a file's state has numbers only")
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingState:
    """How far an image was decoded: what its first `received_bytes` bytes give is in the files.

    decoder: which reader has made them; another one cannot use them. hash_state: of those bytes, as
    `ResumableHash.save` returned it.
    """

    decoder: str
    received_bytes: int
    hash_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDecoding:
    """What the record of a decoding says beside that of a download.

    digest: of the whole image. decoder, hash_state: as of `DecodingState`. result, side: the two files; side is None if
    there is none. Both must be exactly as they were left, because nothing verifies them when the decoding goes on: the
    hash of the image is continued.
    """

    digest: str
    decoder: str
    hash_state: str
    result: FileState
    side: FileState | None

    @classmethod
    def read(cls, fields: dict[str, Any]) -> KeptDecoding:
        """Raises ValueError, KeyError, TypeError, AttributeError for anything else."""
        side = fields["side"]
        return cls(
            digest=str(fields["digest"]),
            decoder=str(fields["decoder"]),
            hash_state=str(fields["hash_state"]),
            result=FileState.read(fields["result"]),
            side=None if side is None else FileState.read(side),
        )

    @property
    def occupied_bytes(self) -> int:
        """Return what both files have on the disk."""
        return self.result.occupied_bytes + (0 if self.side is None else self.side.occupied_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDownloadRecord:
    """What the data of a kept download is.

    size_bytes, digest: of the whole image. jobs: those that want it. kept_at: or when no job wanted it any more.
    form: empty for a download, which is whole up to `received_bytes`. For pieces that came from other hosts, the form
        of the file in which they are, anywhere; then size_bytes is of this file, and there is no digest: each piece is
        checked when it is used. Releases that do not know the field remove such data, because of the digest.
    decoding: of an image that was decoded while it arrived; then the data is the raw result, and there is no digest
        either, so that releases that do not know the field remove it.
    """

    image: str
    size_bytes: int
    digest: str
    received_bytes: int
    kept_at: str
    jobs: tuple[str, ...]
    form: str = ""
    decoding: KeptDecoding | None = None

    @classmethod
    def read(cls, text: bytes) -> KeptDownloadRecord:
        """Raises ValueError, KeyError, TypeError, AttributeError for anything that is not a record."""
        fields: dict[str, Any] = json.loads(text)
        fields = {"form": "", "decoding": None} | fields | {"jobs": tuple(map(str, fields["jobs"]))}
        if fields["decoding"] is not None:
            fields["decoding"] = KeptDecoding.read(fields["decoding"])
        record = cls(**{name: fields[name] for name in cls.__slots__})
        if not 0 < record.received_bytes <= record.size_bytes or record.kept_time.tzinfo is None:
            raise ValueError("the numbers of the record are impossible")
        return record

    @property
    def kept_time(self) -> datetime:
        return datetime.fromisoformat(self.kept_at)

    @property
    def occupied_bytes(self) -> int:
        """Return how much of the disk the data takes."""
        return self.received_bytes if self.decoding is None else self.decoding.occupied_bytes

    @property
    def decoding_state(self) -> DecodingState | None:
        """Return how far the image was decoded; None if it was not."""
        if self.decoding is None:
            return None
        return DecodingState(
            decoder=self.decoding.decoder,
            received_bytes=self.received_bytes,
            hash_state=self.decoding.hash_state,
        )

    def is_of(self, image: Image) -> bool:
        """Return whether the image has still the data that was being received from the image service."""
        digest = self.digest if self.decoding is None else self.decoding.digest
        return (self.image, self.size_bytes, digest) == (
            image.id,
            image.size_bytes,
            str(image.digest),
        ) and not self.form

    def fits(self, image: Image) -> bool:
        """Return whether the data is a download of the image."""
        return self.decoding is None and self.is_of(image)

    def fits_decoding(self, image: Image, decoder: str) -> bool:
        """Return whether the data is what this decoder has made of the image."""
        return self.decoding is not None and self.decoding.decoder == decoder and self.is_of(image)

    def fits_pieces(self, image: ImageId, form: str) -> bool:
        """Return whether the data is pieces of the image in this form."""
        return bool(self.form) and (self.image, self.form) == (image, form)
