"""Reads a record of the Glance v2 API into an `Image`. Fields may be missing; other documents are refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from precache.core.errors import InvalidDigest, InvalidImageId
from precache.core.images import Digest, Image, ImageId, ImageSignature, parse_image_id
from precache.core.text import plain_line

_log = logging.getLogger(__name__)

OPT_IN_PROPERTIES = ("cache_in_nova", "precache")
"""Properties of an image, of which one with the value `true` asks for it to be cached; the first one is Nova's."""

FAMILY_PROPERTY = "precache_family"
"""Property that the versions of one image have in common."""

PIECES_PROPERTY = "precache_pieces"
"""Property that says where the digests of the pieces are: the id of another image, whose data they are, or a path."""

_LONGEST_FAMILY = 255

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
"""What Nova reads as true in a property, in any case."""


def image_from_record(asked: ImageId, record: Any) -> Image:
    """Return the image. Raises ValueError if this is not the record of the requested image.

    An unknown disk format is kept: the caller decides whether it is supported.
    """
    if not isinstance(record, dict) or not isinstance(record.get("status"), str):
        raise ValueError("the answer is not an image record")
    if parse_image_id(str(record.get("id"))) != asked:
        raise ValueError("the answer is the record of another image")
    return Image(
        id=asked,
        name=_text(record.get("name")) or "",
        status=record["status"],
        disk_format=_text(record.get("disk_format")),
        size_bytes=_size(record.get("size")),
        virtual_size_bytes=_size(record.get("virtual_size")),
        digest=_digest(asked, record),
        container_format=_text(record.get("container_format")),
        signature=ImageSignature(
            signature=_text(record.get("img_signature")),
            hash_method=_text(record.get("img_signature_hash_method")),
            key_type=_text(record.get("img_signature_key_type")),
            certificate_id=_text(record.get("img_signature_certificate_uuid")),
        ),
        kernel_id=_text(record.get("kernel_id")) or None,
        ramdisk_id=_text(record.get("ramdisk_id")) or None,
        owner=_text(record.get("owner")) or None,
        has_opted_in=any(_flag(record.get(name)) for name in OPT_IN_PROPERTIES),
        family=plain_line(_text(record.get(FAMILY_PROPERTY)) or "", _LONGEST_FAMILY),
        pieces=_text(record.get(PIECES_PROPERTY)) or "",
    )


def images_from_list(asked: Sequence[ImageId], document: Any) -> dict[ImageId, Image]:
    """Return the requested images whose records are in the answer to a list request; ignore all other records."""
    wanted: dict[str, ImageId] = {image: image for image in asked}
    found = {}
    for record in _records(document):
        image = wanted.get(str(record.get("id")).lower())
        if image is not None:
            with suppress(ValueError):  # a later request for this image alone reports the fault
                found[image] = image_from_record(image, record)
    return found


def images_of_name(name: str, document: Any) -> list[Image]:
    """Return the images with this name that are in the answer to a list request; ignore all other records."""
    found = []
    for record in _records(document):
        if record.get("name") == name:
            with suppress(ValueError, InvalidImageId):
                found.append(image_from_record(parse_image_id(str(record.get("id"))), record))
    return found


def _records(document: Any) -> list[dict[str, Any]]:
    records = document.get("images") if isinstance(document, dict) else None
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def _digest(image: ImageId, record: dict[str, Any]) -> Digest | None:
    """Return the strongest hash that this host can compute: the multihash, else the MD5 in `checksum`.

    If the multihash has an unknown algorithm, the checksum is used. Return None if there is neither, and log it if the
    service gave a hash, because the data is then not verified.
    """
    pairs = ((record.get("os_hash_algo"), record.get("os_hash_value")), ("md5", record.get("checksum")))
    given = [(str(algorithm), str(value)) for algorithm, value in pairs if algorithm and value]
    for algorithm, value in given:
        try:
            return Digest.parse(algorithm, value)
        except InvalidDigest:
            continue
    if given:
        names = ", ".join(repr(algorithm[:20]) for algorithm, _ in given)
        _log.warning("image %s: its hash (%s) cannot be computed here, so its data cannot be verified", image, names)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool:
    return value is True or (_text(value) or "").strip().lower() in _TRUE


def _size(value: object) -> int | None:
    # In Python a bool is an int, but it is not a size.
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
