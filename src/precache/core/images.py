"""An image as the image service describes it: identity, digest, format.

Values only. Adapters build them, so that other code need not check them again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import UUID

from precache.core.errors import InvalidDigest, InvalidImageId

ImageId = NewType("ImageId", str)
"""A UUID in canonical form: lower case, with dashes. Made only by `parse_image_id`."""

_DIGEST_NAMES = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"})
_HEX = re.compile(r"[0-9a-f]+")
_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def parse_image_id(text: str) -> ImageId:
    """Return the canonical form of an image id; upper case and missing dashes are accepted, as Nova accepts them.

    Raises InvalidImageId for anything that is not a UUID.
    """
    if _CANONICAL.fullmatch(text):
        return ImageId(text)
    compact = text.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "").lower()
    if len(compact) != 32 or not _HEX.fullmatch(compact):
        raise InvalidImageId(text)
    return ImageId(str(UUID(compact)))


class DiskFormat(StrEnum):
    """The disk formats that can be cached, by Glance's names.

    Virtuozzo's ploop is not among them, because no inspector can check it.
    """

    RAW = "raw"
    QCOW2 = "qcow2"
    VMDK = "vmdk"
    VHD = "vhd"
    VHDX = "vhdx"
    VDI = "vdi"
    ISO = "iso"
    AMI = "ami"
    AKI = "aki"
    ARI = "ari"


class ImageStatus(StrEnum):
    """Glance's states of an image; only an active one has data that may be read."""

    ACTIVE = "active"
    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    DEACTIVATED = "deactivated"
    PENDING_DELETE = "pending_delete"
    DELETED = "deleted"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Digest:
    """A hash algorithm's name, as hashlib knows it, and the value in lower-case hex."""

    algorithm: str
    value: str

    @classmethod
    def parse(cls, algorithm: str, value: str) -> Digest:
        """Return the checked digest. Raises InvalidDigest for an unknown algorithm or a value of the wrong length."""
        name, text = algorithm.lower(), value.lower()
        if name not in _DIGEST_NAMES or not _HEX.fullmatch(text):
            raise InvalidDigest(algorithm, value)
        if len(text) != 2 * hashlib.new(name, usedforsecurity=False).digest_size:
            raise InvalidDigest(algorithm, value)
        return cls(name, text)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """The signature of the data, from the properties that begin with img_signature; each may be None.

    signature: in base64. hash_method, key_type: by Nova's names. certificate_id: of the key manager.
    """

    signature: str | None = None
    hash_method: str | None = None
    key_type: str | None = None
    certificate_id: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the image service.

    disk_format: Glance's name, or None if the record has none; not every name is a `DiskFormat`.
    size_bytes: length of the data as downloaded; None while unknown (a queued image).
    virtual_size_bytes: size of the disk inside; None if the service does not have it.
    container_format: Glance's name of the container of the disk, `bare` for none; None if the record has none.
    digest: the expected hash of the data; None if the service has no hash, and then nothing can be verified.
    kernel_id, ramdisk_id: the images that an instance boots with besides this one, as the record names them, which may
        be no valid id; None if it names none.
    owner: id of the project that owns it; None if it has none.
    has_opted_in: whether a property of the image asks for it to be cached before boots.
    family: what versions of one image have in common, from the property `precache_family`; empty if it has none.
    pieces: where the digests of its pieces are, from the property `precache_pieces`; empty if it has none.
    """

    id: ImageId
    name: str
    status: str
    disk_format: str | None
    size_bytes: int | None
    virtual_size_bytes: int | None = None
    digest: Digest | None = None
    container_format: str | None = None
    signature: ImageSignature = ImageSignature()
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    owner: str | None = None
    has_opted_in: bool = False
    family: str = ""
    pieces: str = ""

    @property
    def is_active(self) -> bool:
        return self.status == ImageStatus.ACTIVE
