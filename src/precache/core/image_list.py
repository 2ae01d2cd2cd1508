"""All images of the image service at one time, as far as the service's own user sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from precache.core.images import ImageId


@dataclass(frozen=True, slots=True)
class ListedImage:
    """status: Glance's name; empty if the record has none."""

    name: str
    status: str


@dataclass(frozen=True, slots=True)
class ImageList:
    """images: also private and hidden ones. is_whole: whether every image of the image service is in it.

    It is not whole if the service's user may not see private images of other projects, for example.
    """

    images: Mapping[ImageId, ListedImage]
    is_whole: bool
