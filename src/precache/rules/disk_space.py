"""Whether an image fits into the free space of a disk."""

from __future__ import annotations

from precache.core.errors import NotEnoughSpace
from precache.core.images import ImageId


def bytes_needed(download_bytes: int, converted_bytes: int) -> int:
    """Return the space that must be free while an image is fetched.

    download_bytes: what is still to be downloaded. converted_bytes: the size of the disk inside, if it is written as a
    second file; 0 if the download itself is the result. Both files exist until the conversion is done. Holes may make
    both smaller on disk. That is not known before the last byte, so the full size counts.
    """
    return download_bytes + converted_bytes


def admit(image: ImageId, needed_bytes: int, free_bytes: int, place: str) -> None:
    """Raise NotEnoughSpace unless `needed_bytes` fit into the `free_bytes` of `place`; an exact fit is enough."""
    if needed_bytes > free_bytes:
        raise NotEnoughSpace(image, free_bytes, place, needed_bytes=needed_bytes)
