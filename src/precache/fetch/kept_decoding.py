"""What stays of an image that was being decoded when its fetch was paused, and whether a later fetch can go on with it.

A reader decides by the tables of the image alone. So a new one that is fed with the side file comes to the state of the
one before, if both are of the same release.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version

from precache.core.images import Image
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.resumable_hash import ResumableHash
from precache.fetch.space import RESULT, SIDE
from precache.imagecache.kept_record import DecodingState, KeptDownloadRecord
from precache.imagecache.staging import Staging
from precache.rules.space import FileSizes


@dataclass(slots=True)
class ResumedDecoding:
    """A decoding that goes on in the files of this staging.

    is_used: whether they were changed or removed, so that the state no longer describes them.
    """

    state: DecodingState
    is_used: bool = False


def decoder_of(disk_format: str | None, *, is_deep: bool) -> str:
    """Return what the files of a decoding depend on. is_deep: whether the image was inspected before."""
    return f"{disk_format} of {version('precache')}{', inspected' if is_deep else ''}"


def sizes_with_kept(sizes: FileSizes, record: KeptDownloadRecord, *, decoder: str | None) -> FileSizes:
    """Return the sizes of the fetch that goes on with what this record describes, or removes it.

    decoder: which one may go on with a decoding; None if none may.
    """
    if record.decoding is not None:
        goes_on = record.decoding.decoder == decoder
        kept_bytes = record.decoding.result.occupied_bytes if goes_on else record.occupied_bytes
        return replace(sizes, is_streamed=goes_on or sizes.is_streamed, kept_bytes=kept_bytes)
    if record.form or not sizes.is_streamed:
        return replace(sizes, kept_bytes=record.received_bytes)
    # The way of a download is chosen with its first block.
    is_download = record.received_bytes >= BLOCK_BYTES
    return replace(sizes, is_streamed=not is_download, kept_bytes=record.received_bytes if is_download else 0)


def take_decoding(image: Image, staging: Staging, *, decoder: str) -> ResumedDecoding | None:
    """Move what is kept of the image to the staging; None if there is nothing that can go on.

    What cannot be used is left to `KeptDownloads.take`, which removes it.
    """
    kept = staging.kept
    state = kept.decoding_of(image, decoder) if kept else None
    if kept is None or state is None or hash_of(image, state) is None:
        return None
    taken = kept.take_decoding(image, decoder, staging.path(RESULT), staging.path(SIDE))
    return None if taken is None else ResumedDecoding(taken)


def put_back(image: Image, staging: Staging, resumed: ResumedDecoding) -> None:
    """Keep the files again as they were taken, if nothing has used them."""
    if staging.kept and not resumed.is_used:
        staging.kept.keep_decoding(image, resumed.state, staging.path(RESULT), staging.path(SIDE), None)


def hash_of(image: Image, state: DecodingState | None) -> ResumableHash | None:
    """Return the hash of what was decoded until now; None if there is no digest, or the state cannot be restored."""
    if image.digest is None:
        return None
    if state is None:
        return ResumableHash.new(image.digest.algorithm)
    try:
        restored = ResumableHash.restore(image.digest.algorithm, state.hash_state.encode())
    except ValueError:
        return None
    return restored if restored.length_bytes == state.received_bytes else None
