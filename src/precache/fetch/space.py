"""The space of a disk that one image is promised, and the error that describes a full disk in numbers."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

from precache.core.errors import CacheUnusable, NotEnoughSpace, PrecacheError, UnusableImage
from precache.core.free_space import FreeSpace
from precache.core.images import Image
from precache.imagecache.os_errors import DISK_FULL, explain, why_full
from precache.imagecache.space.space_ledger import Promise, SpaceLedger
from precache.rules.space import FileSizes, counted_sizes

DOWNLOAD, RESULT, SIDE, PIECES, CLONE = "download", "raw", "side", "pieces", "clone"
"""The files of a fetch, by the kinds of their names in its staging. PIECES: what other hosts send, in place of all.

SIDE: of an image that is decoded while it arrives, the bytes whose place is not known yet; there is no download then.
CLONE: of an older image, before it becomes the file for pieces."""

_UNCOUNTED_BYTES = 1 << 20
"""Of a side file: the tables of the usual image need less. So it fits exactly where its result fits."""

_TAKEN = "something else took its space"
_NO_SIZE = "the image service gives no size for this image"
_NOT_RESERVED = (
    "the disk inside needs up to {} bytes; [image_cache] reserve_whole_disk = false asks for no more than the image has"
)
_TOO_LONG = "it has more bytes than a file may have in the file system of {}"


def _nothing(_kind: str) -> int:
    """Return that no file has anything on the disk."""
    return 0


class SpaceCheck:
    """The space that one image needs on the disk of the cache. For one fetch.

    What decodes the image calls the methods but `admit` and `failure`: one thread at a time.
    """

    def __init__(
        self,
        *,
        image: Image,
        ledger: SpaceLedger,
        promise: Promise,
        sizes: FileSizes,
        reserves_whole_disk: bool,
        written_to: str = DOWNLOAD,
        allocated: Callable[[str], int] = _nothing,
    ) -> None:
        """promise: of this fetch. sizes: as they are known before the first byte.

        reserves_whole_disk: require space for the whole converted disk, with its holes; else for the download.
        written_to: the kind of the file that what arrives is written to.
        allocated: returns how much the file of a kind has on the disk; for an image that is decoded while it arrives.
        """
        self._written_to, self._allocated = written_to, allocated
        self._image, self._ledger, self._promise = image, ledger, promise
        self._reserves_whole_disk = reserves_whole_disk
        self._sizes, self._spilled_bytes = sizes, 0

    def admit(self, kept_bytes: int = 0) -> None:
        """Promise the space before the first byte. Raises NotEnoughSpace, CacheUnusable, OSError.

        kept_bytes: of the download, which the disk has already.
        """
        self._spilled_bytes = 0
        self._promise_rest(kept_bytes)

    def admit_result(self, result_bytes: int, arrived_bytes: int) -> None:
        """Promise the space for the result when its size is known. Raises NotEnoughSpace, CacheUnusable, OSError.

        arrived_bytes: of the download, which are on the disk.
        """
        self._sizes = replace(self._sizes, result_bytes=result_bytes)
        self._promise_rest(arrived_bytes)

    def admit_streamed(self, result_bytes: int) -> None:
        """Promise the space for the result of an image that is decoded while it arrives, and none for a download.

        Raises NotEnoughSpace, CacheUnusable, OSError.
        """
        self._sizes = replace(self._sizes, result_bytes=result_bytes, is_streamed=True)
        self._promise_rest(0)

    def admit_spilled(self, spilled_bytes: int) -> None:
        """Promise the space for so much of the side file in all. Raises NotEnoughSpace, CacheUnusable, OSError."""
        if spilled_bytes > _UNCOUNTED_BYTES:
            self._spilled_bytes = spilled_bytes
            self._promise_rest(0)

    def admit_download(self) -> None:
        """Promise the space for a download and its conversion after all, and for no side file; neither has begun.

        Raises NotEnoughSpace, CacheUnusable, OSError.
        """
        self._sizes, self._spilled_bytes = replace(self._sizes, is_streamed=False), 0
        self._promise_rest(0)

    def failure(self, error: OSError, written_bytes: int) -> PrecacheError:
        """Return the error for an OSError of the cache's disk; call it after the attempt's files are removed."""
        image, directory = self._image.id, self._ledger.directory
        if error.errno == errno.EFBIG:
            return UnusableImage(image, _TOO_LONG.format(directory))
        if error.errno not in DISK_FULL:
            return CacheUnusable(str(directory), explain(error))
        needed, space = sum(self._rest(0).values()), self._ledger.free_space()
        if self._image.size_bytes is not None and space.missing_bytes(needed):
            return NotEnoughSpace(image, space, str(directory), needed_bytes=needed)
        why = why_full(error, directory) or self._why(space)
        return NotEnoughSpace(image, space, str(directory), written_bytes=written_bytes, why=why)

    def _why(self, space: FreeSpace) -> str:
        if self._image.size_bytes is None:
            return _NO_SIZE
        sizes = self._sizes
        total_bytes = sizes.result_bytes + (self._spilled_bytes if sizes.is_streamed else sizes.download_bytes)
        if total_bytes > space.free_bytes:
            return _NOT_RESERVED.format(sizes.result_bytes)
        return _TAKEN

    def _promise_rest(self, arrived_bytes: int) -> None:
        """Raise NotEnoughSpace unless the space that is needed is free; an exact fit is enough."""
        rest = self._rest(arrived_bytes)
        space = self._promise.set(rest)
        if space is not None:
            raise NotEnoughSpace(self._image.id, space, str(self._ledger.directory), needed_bytes=sum(rest.values()))

    def _rest(self, arrived_bytes: int) -> dict[str, int]:
        """Return the bytes that are still to be written, by kind of file."""
        if self._sizes.is_streamed:
            counted = counted_sizes(self._sizes, reserves_whole_disk=self._reserves_whole_disk)
            wanted = {RESULT: counted.result_bytes, SIDE: self._spilled_bytes}
            return {kind: max(0, size - self._allocated(kind)) for kind, size in wanted.items()}
        rest = replace(self._sizes, download_bytes=max(0, self._sizes.download_bytes - arrived_bytes))
        counted = counted_sizes(rest, reserves_whole_disk=self._reserves_whole_disk)
        return {self._written_to: counted.download_bytes, RESULT: counted.result_bytes}
