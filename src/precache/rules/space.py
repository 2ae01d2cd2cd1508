"""How many bytes must be free on a host before images are fetched to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileSizes:
    """The files of one fetch.

    result_bytes: of the converted file; 0 if nothing is converted or it is not known.
    is_streamed: the image is decoded while it arrives; there is no file of the download.
    kept_bytes: what these files have on the disk already, from a fetch that was paused.
    """

    download_bytes: int
    result_bytes: int = 0
    is_streamed: bool = False
    kept_bytes: int = 0


def counted_sizes(sizes: FileSizes, *, reserves_whole_disk: bool) -> FileSizes:
    """Return the sizes for which space must be free.

    Both files exist until the conversion is done, if there are two. Holes may make both smaller on disk. That is not
    known before the last byte, so the full size counts. The result has as many bytes as the download, as long as
    nothing else is known of it.
    reserves_whole_disk: count the whole converted disk; else as much as the download has.
    """
    result_bytes = sizes.result_bytes if reserves_whole_disk else 0
    if sizes.is_streamed:
        return FileSizes(0, result_bytes or sizes.download_bytes)
    return FileSizes(sizes.download_bytes, result_bytes)


def space_needed(sizes: FileSizes, *, reserves_whole_disk: bool) -> int:
    """Return the bytes that must be free for one fetch."""
    counted = counted_sizes(sizes, reserves_whole_disk=reserves_whole_disk)
    return max(0, counted.download_bytes + counted.result_bytes - sizes.kept_bytes)


def space_needed_for_all(images: Iterable[FileSizes], *, reserves_whole_disk: bool) -> int:
    """Return the bytes that must be free for several fetches, one after another.

    After each fetch one file stays: the result, or the download if nothing was converted. Each fetch needs its space
    beside the files that stay. What is kept of an image is of use to this image alone.
    """
    needed = added = 0
    for sizes in images:
        counted = counted_sizes(sizes, reserves_whole_disk=reserves_whole_disk)
        needed = max(needed, added + space_needed(sizes, reserves_whole_disk=reserves_whole_disk))
        added += max(0, (counted.result_bytes or counted.download_bytes) - sizes.kept_bytes)
    return needed
