"""Which images a request may name: those that a host could turn into a cache entry now."""

from __future__ import annotations

from precache.core.errors import ImageFormatUnsupported, ImageNotActive
from precache.core.images import DiskFormat, Image

_CACHEABLE = frozenset(DiskFormat)


def check_admissible(image: Image) -> None:
    """Raise ImageNotActive or ImageFormatUnsupported if no host could cache the image as it is."""
    if not image.is_active:
        raise ImageNotActive(image.id, image.status)
    if image.disk_format not in _CACHEABLE:
        raise ImageFormatUnsupported(image.id, image.disk_format)
