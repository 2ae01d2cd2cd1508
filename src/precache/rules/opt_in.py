"""Which images an operator lets be cached before a boot: those that have opted in, of the projects that are listed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from precache.core.errors import ImageNotOptedIn, ImageOwnerNotListed, InvalidImageId, PrecachingOff
from precache.core.images import Image, ImageId, parse_image_id


class PrecacheImages(StrEnum):
    """The values of [image_cache] precache_images."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class OptIn:
    """Which images may be cached. projects: the only owners whose images may be; empty for any owner."""

    images: PrecacheImages = PrecacheImages.ALL
    projects: frozenset[str] = frozenset()

    @property
    def needs_records(self) -> bool:
        """Return whether it depends on properties or owners of images."""
        return self.images is PrecacheImages.SOME or bool(self.projects)

    def check(self, images: Sequence[Image]) -> None:
        """Raise PrecachingOff, ImageNotOptedIn or ImageOwnerNotListed for the first image that may not be cached.

        images: of one request. A kernel or a ramdisk that another of them names may be cached if that one may be.
        """
        refusals = {image.id: error for image in images if (error := self._refusal(image)) is not None}
        passed = {file for image in images if image.id not in refusals for file in _boot_files(image)}
        for image in images:
            if image.id in refusals and image.id not in passed:
                raise refusals[image.id]

    def _refusal(self, image: Image) -> PrecachingOff | ImageNotOptedIn | ImageOwnerNotListed | None:
        if self.images is PrecacheImages.NONE:
            return PrecachingOff()
        if self.images is PrecacheImages.SOME and not image.has_opted_in:
            return ImageNotOptedIn(image.id)
        if self.projects and image.owner not in self.projects:
            return ImageOwnerNotListed(image.id, image.owner)
        return None


ALL_IMAGES = OptIn()


def _boot_files(image: Image) -> list[ImageId]:
    """Return the images that this one names as its kernel and ramdisk, without a text that is no id."""
    files = []
    for text in (image.kernel_id, image.ramdisk_id):
        with suppress(InvalidImageId):
            files.append(parse_image_id(text or ""))
    return files
