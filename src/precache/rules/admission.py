"""Which images a request may name: those that a host could turn into a cache entry now."""

from __future__ import annotations

from precache.core.errors import ImageCompressed, ImageFormatUnsupported, ImageNotActive
from precache.core.images import DiskFormat, Image

_COMPRESSED = "compressed"  # since Glance of the release Train
_CACHEABLE = frozenset(DiskFormat)


def check_admissible(image: Image) -> None:
    """Raise ImageNotActive, ImageCompressed or ImageFormatUnsupported if no host could cache the image as it is."""
    if not image.is_active:
        raise ImageNotActive(image.id, image.status)
    check_uncompressed(image)
    if image.disk_format not in _CACHEABLE:
        raise ImageFormatUnsupported(image.id, image.disk_format)


def check_uncompressed(image: Image) -> None:
    """Raise ImageCompressed if the data are a compressed file. Nova would boot from the compressed file."""
    if image.container_format == _COMPRESSED:
        raise ImageCompressed(image.id)
