"""The images of the image service at one time, as far as the service's own user sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from precache.core.images import ImageId


class ServiceStatus(StrEnum):
    """What has become of a cached image in the image service.

    GONE: it is not there. UNKNOWN: that cannot be said.
    """

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ImageFinding:
    """What the image service has of the image of an entry. image, name: None if that was not found out."""

    entry: str
    status: ServiceStatus
    image: ImageId | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ListedImage:
    """status: Glance's name; empty if the record has none."""

    name: str
    status: str


@dataclass(frozen=True, slots=True)
class ImageList:
    """images: also private and hidden ones. doubt: why some image may not be in it; empty if all are."""

    images: Mapping[ImageId, ListedImage]
    doubt: str = ""

    @property
    def is_whole(self) -> bool:
        return not self.doubt
