"""Makes and reads the message `describe_cache` and its answer: what a host's cache holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from precache.adapters.bus_oslo.fields import (
    MOST_BYTES,
    Malformed,
    check_host,
    read_image,
    read_items,
    read_size,
    read_text,
)
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.images import ImageId


def describe_message(host: str, cell: str, images: Sequence[ImageSize]) -> dict[str, Any]:
    return {"host": host, "cell": cell, "images": [image_size_message(each) for each in images]}


def read_describe(message: Mapping[str, Any], host: str) -> tuple[ImageSize, ...]:
    """Return the images. Raises Malformed, also if the message is meant for another host."""
    check_host(message, host)
    return read_image_sizes(message)


def contents_message(contents: CacheContents) -> dict[str, Any]:
    held = sorted(contents.held)
    return {
        "held": held,
        "held_bytes": [contents.held_bytes.get(image) for image in held],
        "needed_bytes": contents.needed_bytes,
        "free_bytes": contents.free_bytes,
        "promised_bytes": contents.promised_bytes,
        "reserve_bytes": contents.reserve_bytes,
        "unsupported": contents.unsupported,
    }


def read_contents(answer: Mapping[str, Any]) -> CacheContents:
    """Return what the host holds. Raises Malformed."""
    held = [read_image(each) for each in read_items(answer, "held")]
    return CacheContents(
        held=frozenset(held),
        held_bytes=read_held_bytes(answer, held),
        needed_bytes=optional_size(answer, "needed_bytes"),
        free_bytes=optional_size(answer, "free_bytes"),
        unsupported=read_text(answer, "unsupported") if answer.get("unsupported") else "",
        # Hosts of earlier releases do not send these.
        promised_bytes=optional_size(answer, "promised_bytes") or 0,
        reserve_bytes=optional_size(answer, "reserve_bytes") or 0,
    )


def read_held_bytes(answer: Mapping[str, Any], held: Sequence[ImageId]) -> dict[ImageId, int]:
    """Return what the held images occupy; a host before version 1.4 does not say it. Raises Malformed."""
    sizes = read_items(answer, "held_bytes") if answer.get("held_bytes") is not None else [None] * len(held)
    if len(sizes) != len(held):
        raise Malformed("held_bytes is not as long as held")
    return {image: read_size({"": size}, "") for image, size in zip(held, sizes, strict=True) if size is not None}


def image_size_message(size: ImageSize) -> dict[str, Any]:
    return {
        "image": size.image,
        "size_bytes": size.size_bytes,
        "virtual_size_bytes": size.virtual_size_bytes,
        "disk_format": size.disk_format,
    }


def read_image_sizes(message: Mapping[str, Any]) -> tuple[ImageSize, ...]:
    """Return the images of a message. Raises Malformed: each of them counts for the needed space."""
    return tuple(_read_image_size(item) for item in read_items(message, "images"))


def _read_image_size(item: object) -> ImageSize:
    if not isinstance(item, Mapping):
        raise Malformed("an image is not an object")
    return ImageSize(
        read_image(item.get("image")),
        optional_size(item, "size_bytes"),
        optional_size(item, "virtual_size_bytes"),
        read_text(item, "disk_format") if item.get("disk_format") is not None else None,
    )


def optional_size(message: Mapping[str, Any], field: str) -> int | None:
    """Return the number of bytes, None for null or a missing field. Raises Malformed."""
    return None if message.get(field) is None else read_size(message, field, MOST_BYTES)
