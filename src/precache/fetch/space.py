"""The free space of a disk for one image, and the error that describes a full disk in numbers."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from precache.core.errors import CacheUnusable, NotEnoughSpace, PrecacheError, UnusableImage
from precache.core.images import Image
from precache.imagecache.os_errors import DISK_FULL, explain, why_full
from precache.rules.space import FileSizes, space_needed

_SECTOR_BYTES = 512  # the unit of st_blocks, whatever the disk's own

_TAKEN = "something else took its space"
_NO_SIZE = "the image service gives no size for this image"
_NOT_RESERVED = "the disk inside needs up to {} bytes, for which [image_cache] reserve_whole_disk = false reserves none"
_TOO_LONG = "it has more bytes than a file may have in the file system of {}"


def allocated_bytes(*paths: Path | None) -> int:
    """Return how many bytes the files occupy on the disk, without holes; a file that does not exist counts as 0."""
    taken = 0
    for path in paths:
        if path is not None and path.exists():
            taken += path.stat().st_blocks * _SECTOR_BYTES
    return taken


class SpaceCheck:
    """The space that one image needs in `directory`. Used by one fetch; any of its threads may call `admit_result`."""

    def __init__(
        self, *, image: Image, directory: Path, free_bytes: Callable[[Path], int], reserves_whole_disk: bool
    ) -> None:
        """reserves_whole_disk: require space for the whole converted disk, with its holes; else for the download."""
        self._image, self._directory, self._free_bytes = image, directory, free_bytes
        self._reserves_whole_disk = reserves_whole_disk
        self._download_bytes = image.size_bytes or 0
        self._result_bytes = 0

    def admit(self, result_bytes: int, kept_bytes: int = 0) -> None:
        """Check before the first byte. Raises NotEnoughSpace.

        result_bytes: of the converted file, 0 if unknown. kept_bytes: of the download, which the disk has already.
        """
        self._result_bytes = result_bytes
        self._check(self._download_bytes - kept_bytes)

    def admit_result(self, result_bytes: int, arrived_bytes: int) -> None:
        """Check the space again when the size of the result is known. Raises NotEnoughSpace."""
        self._result_bytes = result_bytes
        self._check(self._download_bytes - arrived_bytes)

    def failure(self, error: OSError, written_bytes: int) -> PrecacheError:
        """Return the error for an OSError of the cache's disk; call it after the attempt's files are removed."""
        image, place = self._image.id, str(self._directory)
        if error.errno == errno.EFBIG:
            return UnusableImage(image, _TOO_LONG.format(place))
        if error.errno not in DISK_FULL:
            return CacheUnusable(place, explain(error))
        needed, free = self._needed(self._download_bytes), self._free_bytes(self._directory)
        if self._image.size_bytes is not None and needed > free:
            return NotEnoughSpace(image, free, place, needed_bytes=needed)
        why = why_full(error, self._directory) or self._why(free)
        return NotEnoughSpace(image, free, place, written_bytes=written_bytes, why=why)

    def _why(self, free: int) -> str:
        if self._image.size_bytes is None:
            return _NO_SIZE
        if self._download_bytes + self._result_bytes > free:
            return _NOT_RESERVED.format(self._result_bytes)
        return _TAKEN

    def _needed(self, download_bytes: int) -> int:
        """Return the space for the bytes that are still to be downloaded and for the result."""
        sizes = FileSizes(download_bytes, self._result_bytes)
        return space_needed(sizes, reserves_whole_disk=self._reserves_whole_disk)

    def _check(self, download_bytes: int) -> None:
        """Raise NotEnoughSpace unless the space that is needed is free; an exact fit is enough."""
        needed, free = self._needed(download_bytes), self._free_bytes(self._directory)
        if needed > free:
            raise NotEnoughSpace(self._image.id, free, str(self._directory), needed_bytes=needed)
