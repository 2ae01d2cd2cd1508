"""One attempt to fetch an image, and what stays of it on the host after a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import NotEnoughSpace, Stopped, Unavailable
from precache.core.images import Image
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.core.work_context import current_work
from precache.fetch.space import SpaceCheck
from precache.fetch.transfer import Transfer
from precache.imagecache.staging import Staging
from precache.ports.progress import Watcher


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one fetch works on.

    target: of the conversion; None to keep the download as it is. kept_bytes: of the download, from an earlier fetch
        that was paused.
    """

    record: Image
    order: ImageOrder
    download: Path
    target: Path | None
    space: SpaceCheck
    staging: Staging
    watch: Watcher
    kept_bytes: int = 0


def keeps_data(error: BaseException, kept_bytes: int) -> bool:
    """Return whether what was received stays on the host after this error.

    kept_bytes: from an earlier pause. These are only lost by errors about the data, or of the disk while it is written:
        another job may have paused the download.
    """
    if isinstance(error, Stopped) and error.keeps_data:
        return True
    return kept_bytes > 0 and isinstance(error, Stopped | Unavailable | NotEnoughSpace | KeyboardInterrupt)


@contextmanager
def keeping(attempt: Attempt, transfer: Transfer) -> Iterator[None]:
    """Keep what was received if the block ends by an error that leaves it on the host."""
    try:
        yield
    except BaseException as error:
        kept = attempt.staging.kept
        if kept and keeps_data(error, attempt.kept_bytes):
            work = current_work() if isinstance(error, Stopped) and error.reason is StopReason.PAUSED else None
            kept.keep(attempt.record, attempt.download, transfer.stored_bytes, work.job_id if work else None)
        raise
