"""What a host's cache holds of some images, and the space that the others need there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from precache.core.free_space import FreeSpace
from precache.core.images import Image, ImageId
from precache.core.text import plain_line


@dataclass(frozen=True, slots=True)
class ImageSize:
    """The part of an image's record that says how much space a host needs for it.

    size_bytes: of the download; None if unknown. virtual_size_bytes: of the disk inside; None if unknown.
    """

    image: ImageId
    size_bytes: int | None = None
    virtual_size_bytes: int | None = None
    disk_format: str | None = None

    @classmethod
    def of(cls, image: Image) -> ImageSize:
        return cls(image.id, image.size_bytes, image.virtual_size_bytes, image.disk_format)


@dataclass(frozen=True, slots=True)
class CacheContents:
    """What one host's cache holds of the images that were asked for.

    held: those that are complete in the cache, under the names that boots use.
    needed_bytes: that must be free for the others, fetched one after another.
    free_bytes: in the place of the cache. Both are None if the driver does not know them.
    promised_bytes, reserve_bytes: what of the free space other images have still to fill, and what no image may fill.
    unsupported: why the host caches no images; empty if it does.
    held_bytes: what the held images occupy, as far as it is known.
    """

    held: frozenset[ImageId] = frozenset()
    needed_bytes: int | None = None
    free_bytes: int | None = None
    unsupported: str = ""
    promised_bytes: int = 0
    reserve_bytes: int = 0
    held_bytes: Mapping[ImageId, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unsupported", plain_line(self.unsupported))

    @property
    def lacks_space(self) -> bool:
        """Return whether the other images are known not to fit."""
        if self.needed_bytes is None or self.free_bytes is None:
            return False
        space = FreeSpace(self.free_bytes, self.promised_bytes, reserve_bytes=self.reserve_bytes)
        return space.missing_bytes(self.needed_bytes) > 0
