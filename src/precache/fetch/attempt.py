"""One attempt to fetch an image: what it works on, and what stays on the host after its failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from precache.core.errors import NotEnoughSpace, Stopped, Unavailable
from precache.core.images import Image
from precache.core.orders import ImageOrder
from precache.fetch.delta import DeltaImages
from precache.fetch.final_parts import FinalParts
from precache.fetch.kept_decoding import ResumedDecoding
from precache.fetch.space import SpaceCheck
from precache.imagecache.staging import Staging
from precache.ports.progress import Watcher


def _ignore(_count: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one fetch works on.

    target: of the conversion; None to keep the download as it is. kept_bytes: of the image, from an earlier fetch that
        was paused: in the download, or in the files of `resumed`.
    side: the path of the side file of an image that is decoded while it arrives.
    decoder: what the files of a decoding depend on, as of `kept_decoding`.
    resumed: what was decoded in an earlier fetch, and goes on in `target` and `side`; None without one.
    why_qemu_img: why qemu-img reads the image, as of `stream_choice`; None to decode it while it arrives.
    final_parts: told which part of the result is final; None if nothing observes that.
    on_received: called with the number of bytes of each read from the image service.
    delta: opens the image in place of the image service, and takes from an older image what agrees; None without one.
    """

    record: Image
    order: ImageOrder
    download: Path
    target: Path | None
    space: SpaceCheck
    staging: Staging
    watch: Watcher
    side: Path
    why_qemu_img: str | None
    decoder: str = ""
    kept_bytes: int = 0
    resumed: ResumedDecoding | None = None
    final_parts: FinalParts | None = None
    on_received: Callable[[int], None] = _ignore
    delta: DeltaImages | None = None

    def from_start(self) -> Attempt:
        """Return the attempt that uses nothing of an earlier fetch."""
        return replace(self, kept_bytes=0, resumed=None)


def keeps_data(error: BaseException, kept_bytes: int) -> bool:
    """Return whether what was received stays on the host after this error.

    kept_bytes: from an earlier pause. These are only lost by errors about the data, or of the disk while it is written:
        another job may have paused the download.
    """
    if isinstance(error, Stopped) and error.keeps_data:
        return True
    return kept_bytes > 0 and isinstance(error, Stopped | Unavailable | NotEnoughSpace | KeyboardInterrupt)


def remove_files(*paths: Path | None) -> None:
    """Remove the files at these paths, those that exist. Raises OSError."""
    for path in paths:
        if path is not None:
            path.unlink(missing_ok=True)
