"""How many bytes must be free on a host before images are fetched to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileSizes:
    """The files of one fetch. result_bytes: of the converted file; 0 if nothing is converted or it is not known."""

    download_bytes: int
    result_bytes: int = 0


def counted_sizes(sizes: FileSizes, *, reserves_whole_disk: bool) -> FileSizes:
    """Return the sizes for which space must be free.

    Both files exist until the conversion is done. Holes may make both smaller on disk. That is not known before the
    last byte, so the full size counts.
    reserves_whole_disk: count the whole converted disk; else only the download.
    """
    return sizes if reserves_whole_disk else FileSizes(sizes.download_bytes)


def space_needed(sizes: FileSizes, *, reserves_whole_disk: bool) -> int:
    """Return the bytes that must be free for one fetch."""
    counted = counted_sizes(sizes, reserves_whole_disk=reserves_whole_disk)
    return counted.download_bytes + counted.result_bytes


def space_needed_for_all(images: Iterable[FileSizes], *, reserves_whole_disk: bool) -> int:
    """Return the bytes that must be free for several fetches, one after another.

    After each fetch one file stays: the result, or the download if nothing was converted. Each fetch needs its space
    beside the files that stay.
    """
    needed = kept = 0
    for sizes in images:
        needed = max(needed, kept + space_needed(sizes, reserves_whole_disk=reserves_whole_disk))
        has_full_result = reserves_whole_disk and sizes.result_bytes
        kept += sizes.result_bytes if has_full_result else sizes.download_bytes
    return needed
