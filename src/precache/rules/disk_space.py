"""May an image be fetched onto a disk with so much free space?"""

from __future__ import annotations

from precache.core.errors import NotEnoughSpace
from precache.core.images import ImageId


def bytes_needed(download_bytes: int, converted_bytes: int) -> int:
    """Return the space that must be free while an image is fetched.

    download_bytes: what is still to be downloaded. converted_bytes: the size of the disk inside, if it is to be
    written as a file of its own; 0 if the download itself is the result. Both files exist at once until the
    conversion is done. Holes may make both smaller on disk; nobody knows that before the last byte, so the
    whole size counts.
    """
    return download_bytes + converted_bytes


def admit(image: ImageId, needed_bytes: int, free_bytes: int, place: str) -> None:
    """Raise NotEnoughSpace unless `needed_bytes` fit into the `free_bytes` of `place`; an exact fit is enough."""
    if needed_bytes > free_bytes:
        raise NotEnoughSpace(image, needed_bytes, free_bytes, place)
