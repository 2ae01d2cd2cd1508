"""What a list of the image service says of the images in the caches."""

from __future__ import annotations

from collections.abc import Iterable

from precache.core.cache_entries import entry_name
from precache.core.cache_inventory import CachedImage
from precache.core.image_list import ImageFinding, ImageList, ServiceStatus
from precache.core.images import ImageId, ImageStatus
from precache.core.text import plain_line

_NAME_LENGTH = 255
"""Characters of an image's name that are kept: Glance's limit."""

_STATUSES = {
    ImageStatus.ACTIVE: ServiceStatus.ACTIVE,
    ImageStatus.DEACTIVATED: ServiceStatus.DEACTIVATED,
    # Glance still shows an image that it will delete later, but not its data.
    ImageStatus.PENDING_DELETE: ServiceStatus.GONE,
    ImageStatus.DELETED: ServiceStatus.GONE,
    ImageStatus.KILLED: ServiceStatus.GONE,
}


def finding_of(entry: str, image: ImageId, name: str, status: str) -> ImageFinding:
    """Return what the record of an image says. status: by Glance's name."""
    known = ServiceStatus.UNKNOWN
    if status in list(ImageStatus):
        known = _STATUSES.get(ImageStatus(status), known)
    return ImageFinding(entry, known, image, plain_line(name, _NAME_LENGTH) or None)


def find_images(cached: Iterable[CachedImage], listed: ImageList) -> list[ImageFinding]:
    """Return a finding for each cached image, which was cached before the list was read.

    An image that is not in a whole list is gone. If the list is not whole, one that was gone before stays gone, because
    an id is never used again, and the others are unknown.
    """
    by_entry = {entry_name(image): image for image in listed.images}
    found = []
    for each in cached:
        image = by_entry.get(each.entry)
        if image is not None:
            record = listed.images[image]
            found.append(finding_of(each.entry, image, record.name, record.status))
        elif listed.is_whole or each.status == ServiceStatus.GONE:
            found.append(ImageFinding(each.entry, ServiceStatus.GONE))
        else:
            found.append(ImageFinding(each.entry, ServiceStatus.UNKNOWN))
    return found
