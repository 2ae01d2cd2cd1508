"""The temporary files of one entry before it is published, and the port that fetches it.

`ImageCache` makes a staging for one attempt to fill one entry, under that entry's lock. It belongs to one thread.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from precache.core.bytes_from import NO_BYTES, BytesFrom
from precache.core.cache_contents import ImageSize
from precache.core.orders import ImageOrder
from precache.imagecache.names import temporary_name
from precache.ports.progress import Watcher

if TYPE_CHECKING:
    from precache.imagecache.kept_downloads import KeptDownloads
    from precache.imagecache.records.entry_record import EntryRecord
    from precache.imagecache.space.space_ledger import MakeRoom, SpaceLedger

_TOKEN_BYTES = 4
_LOCK_KIND = "lock"


def new_token() -> str:
    """Return a short text that is unique for each staging, over all processes."""
    return secrets.token_hex(_TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Staging:
    """Temporary files of one attempt to fill one entry, on the file system of the cache.

    directory: the cache. entry: the name that the result will get. token: makes the names of the files unique. Nova's
    cleaner unlinks lock files after it released them, so two processes can hold the lock for a moment. They must not
    write into the same file. kept: what is kept of paused downloads; None if nothing is to be kept. ledger: of the
    disk; None for one of its own, without a reserve. make_room: asked once if the image does not fit.
    """

    directory: Path
    entry: str
    token: str = field(default_factory=new_token)
    kept: KeptDownloads | None = None
    ledger: SpaceLedger | None = None
    make_room: MakeRoom | None = None

    def path(self, kind: str) -> Path:
        """Return the path of one temporary file. kind: such as `download`; the same kind has the same path."""
        return self.directory / temporary_name(self.entry, self.token, kind)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold this staging's own lock, which shows to other processes that its files are no orphans. Raises OSError.

        The entry's lock is not enough: if Nova's cleaner removes the lock file, another process can lock a new one.
        """
        fd = self._lock()
        try:
            yield
        finally:
            os.close(fd)

    def _lock(self) -> int:
        path = self.path(_LOCK_KIND)
        while True:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            # The removal of orphans can have removed it between the two calls.
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)

    def discard(self) -> None:
        """Remove every temporary file of this staging; harmless if there is none."""
        mine = temporary_name(self.entry, self.token, "")
        for path in self.directory.iterdir():
            if path.name.startswith(mine):
                path.unlink(missing_ok=True)


@contextmanager
def hold_if_dead(directory: Path, entry: str, token: str) -> Iterator[bool]:
    """Hold a staging's own lock if its process is gone; yield True if it is gone, False if it is alive. Raises OSError.

    A staging without such a lock, of an older release, counts as dead.
    """
    path = Staging(directory, entry, token).path(_LOCK_KIND)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        yield _is_free(fd)
    finally:
        os.close(fd)


def _is_free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def create_file(path: Path, content: bytes) -> None:
    """Create a small new file, not through a link. Raises OSError, such as FileExistsError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a fetch.

    entry: the complete, verified file to publish, in the staging; it is on the disk.
    record: what is known of the entry. bytes_from: what was moved for it.
    decoded_by: `stream`, `qemu-img`, or `qemu-img (REASON)`; empty if nothing was decoded.
    """

    entry: Path
    record: EntryRecord
    bytes_from: BytesFrom = NO_BYTES
    decoded_by: str = ""


class EntryFetcher(Protocol):
    """Fetches an image to the host. Called from several threads at once, for different images."""

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        """Fetch the image into a file of `staging` and return it; blocks for as long as that takes.

        Raises an error of core/errors. The caller discards the staging, after a failure as well.
        """
        ...

    def space_needed(self, images: Iterable[ImageSize], kept: KeptDownloads) -> int:
        """Return the bytes that must be free before these images are fetched, one after another; read no image.

        kept: what is on the disk of them already.
        """
        ...

    def offer_cached(self, order: ImageOrder, entry: Path, record: EntryRecord | None) -> None:
        """Offer an image that is in the cache already to other hosts, because the order is by swarm; do not wait.

        record: of the entry; None if there is none.
        """
        ...
