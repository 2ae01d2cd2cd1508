"""The pieces of one image that this host has received from others, in a temporary file of the cache.

The file is found again after a pause, and also after the process was killed. It is not noted which pieces were in it:
they are hashed again, and each counts when it agrees with a hash of the relay. Used by one fetch, which holds the
entry's lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from precache.core.cache_contents import ImageSize
from precache.core.errors import PrecacheError
from precache.core.images import Image, ImageId
from precache.core.relays import Form
from precache.fetch.attempt_runner import POLL_SECONDS
from precache.fetch.fetcher import describe
from precache.fetch.space import CLONE, PIECES, SpaceCheck
from precache.imagecache.bases import Base, CloneFile, lineage_of, open_base, reflink
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.served_entries import ServedEntries
from precache.imagecache.space.disk_usage import allocated_by
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.imagecache.staging import Staging
from precache.imagecache.verification.content_digest import ContentHash
from precache.ports.clock import Clock
from precache.ports.swarm_trust import SwarmTrust
from precache.rules.space import FileSizes
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import DIGEST_BYTES, ZERO_DIGEST, piece_count

_log = logging.getLogger(__name__)

OpenFile = Callable[[Path, SwarmTrust, str], RelayFile]


class HostPieces:
    """The pieces of one image on this host. `close` ends all use of the file."""

    def __init__(
        self,
        *,
        image: Image,
        form: Form,
        staging: Staging,
        relay: str,
        trust: SwarmTrust,
        clock: Clock,
        reserves_whole_disk: bool,
        base: ImageId | None = None,
        entries: ServedEntries | None = None,
        open_file: OpenFile = RelayFile,
        clone: CloneFile = reflink,
    ) -> None:
        """reserves_whole_disk: require space for the whole file, holes included; else for the image's own size.

        base: the older image that the order names, if any. entries: learn which older image is in use.
        open_file, clone: open the file for pieces, and clone an older image. Tests pass functions that act as a full
            disk, or as another file system.
        """
        self._image, self._form, self._staging = image, form, staging
        self._relay, self._trust, self._open_file = relay, trust, open_file
        self._reserves_whole_disk = reserves_whole_disk or form is Form.AS_IS
        self._ledger = staging.ledger or SpaceLedger(directory=staging.directory, clock=clock)
        self._promised = ExitStack()
        self._space: SpaceCheck | None = None
        self._admitted = threading.Lock()
        self._clock, self._base_image, self._clone = clock, base, clone
        self._entries = entries or ServedEntries()
        self._base: Base | None = None
        self._has_looked_for_base = False
        self._cloned: RelayFile | None = None
        self._cloned_bytes = 0
        self.file: RelayFile | None = None

    @property
    def path(self) -> Path:
        return self._staging.path(PIECES)

    @property
    def allocated_bytes(self) -> int:
        """Return how many bytes the file occupies on the disk."""
        return allocated_by(self.path)

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes were kept from an earlier attempt, as far as that is known without reading them."""
        kept = self._staging.kept
        return kept.bytes_of_pieces(self._image.id, self._form) if kept else 0

    def open(self, check: Callable[[], None]) -> RelayFile:
        """Open the file, with what is there from an earlier attempt, and return it; the same at each call.

        check: called every few milliseconds while that is hashed; what it raises ends the work. Raises OSError.
        """
        if self.file is not None:
            return self.file
        kept, is_kept = self._staging.kept, self.path.exists()
        if kept is not None and not is_kept:
            is_kept = bool(kept.take_pieces(self._image.id, self._form, self.path))
        file = self._open_file(self.path, self._trust, self._relay)
        try:
            if is_kept:
                _note_content(file, self.path, check)
        except BaseException:
            file.close()
            raise
        self.file = file
        return file

    @property
    def base_bytes(self) -> int:
        """Return how many bytes came from an older image in the cache."""
        cloned = self._cloned_bytes + (self._cloned.local_bytes if self._cloned is not None else 0)
        return cloned + (self._base.taken_bytes if self._base is not None else 0)

    def use_base(self, check: Callable[[], None]) -> RelayFile:
        """Open the file, and note what an older image in the cache has of it, if there is one; once.

        The file may be another one than before, with nothing that was known. check: as of `open`. Raises OSError.
        """
        file = self.open(check)
        if self._has_looked_for_base:
            return file
        self._has_looked_for_base = True
        records = EntryRecords(directory=self._staging.directory, clock=self._clock)
        new = lineage_of(describe(self._image, is_converted=self._form is Form.RAW))
        self._base = base = open_base(self._staging.directory, records, new, self._base_image)
        if base is None:
            return file
        self._entries.begin_use(base.path.name)
        _log.info("Image %s: what agrees with image %s in the cache is not received", self._image.id, base.image)
        if not self.allocated_bytes and self._space is None and base.clone_to(self._staging.path(CLONE), self._clone):
            return self._replace_by_clone(file, check)
        base.hash(check)
        file.use_base(base, self.admit)
        return file

    def give_up_base(self) -> bool:
        """Begin without the older image, which may then be removed to make room; return False if none is used.

        Raises OSError.
        """
        if self._base is None:
            return False
        self.discard()
        self._base, self._cloned, self._has_looked_for_base = None, None, True
        return True

    def _replace_by_clone(self, file: RelayFile, check: Callable[[], None]) -> RelayFile:
        self._staging.path(CLONE).rename(self.path)
        self.file = self._cloned = clone = self._open_file(self.path, self._trust, self._relay)
        file.close()
        _note_content(clone, self.path, check)
        return clone

    def reopen(self) -> RelayFile:
        """Return the file without any hash, because those that it had are in doubt; what is in it is compared again.

        Raises OSError.
        """
        old = self.file
        file = self.file = self._open_file(self.path, self._trust, self._relay)
        if old is not None:
            old.close()  # first: a stream that was stopped, and still writes, must change nothing after the next lines
            for index in range(piece_count(old.size_bytes or 0)):
                if digest := old.local_digest(index):
                    file.add_local(index, digest)
        if self._cloned is not None:
            self._cloned_bytes += self._cloned.local_bytes
            self._cloned = None
        elif self._base is not None:
            file.use_base(self._base, self.admit)
        return file

    def admit(self) -> None:
        """Promise the space for the file as soon as its size is known, and keep the file from then on.

        Called before each piece is written, by any thread of the fetch. Raises NotEnoughSpace, CacheUnusable, OSError.
        """
        size = self.file.size_bytes if self.file is not None else None
        if size is None or self._space is not None:
            return
        with self._admitted:
            if self._space is None:
                space = self._space_check(size)
                space.admit(min(self.file.have_bytes if self.file else 0, size))
                self._space = space
                self.keep(self.path, size)

    def keep(self, path: Path, size_bytes: int) -> None:
        """Keep this file of the staging, in which pieces are, in place of what was kept, also if this process dies."""
        if self._staging.kept is not None:
            self._staging.kept.keep_pieces(self._image.id, self._form, path, size_bytes)

    def keep_again(self) -> None:
        """Keep the file after a fetch from the image service, unless that has left more, or a download that is kept."""
        size = self.file.size_bytes if self.file is not None else None
        kept, image = self._staging.kept, self._image.id
        if kept is None or not size or kept.bytes_of(image) > self.kept_bytes:
            return
        if self.allocated_bytes > self.kept_bytes:
            self.keep(self.path, size)

    def end_promise(self) -> None:
        """Take the promise back: the host fetches the image itself, and needs the space for that."""
        self._promised.close()
        self._space = None

    def failure(self, error: OSError, written_bytes: int) -> PrecacheError:
        """Return the error for an OSError of the cache's disk, in numbers. Call it after `discard`."""
        return (self._space or self._space_check(written_bytes)).failure(error, written_bytes)

    def end(self, *, keep_open: RelayFile | None) -> None:
        """Close everything but this file, which is served from now on."""
        self._promised.close()
        if self.file is not keep_open and self.file is not None:
            self.file.close()
        self._close_base()

    def close(self) -> None:
        """Close the file and take the promise back; harmless if it is closed. The file stays on the disk."""
        self.end(keep_open=None)

    def _close_base(self) -> None:
        if self._base is not None and self._base.close():
            self._entries.end_use(self._base.path.name)

    def discard(self) -> None:
        """Close and remove the file, also what is kept of it. Raises OSError."""
        self.close()
        self.file = self._space = None
        self._has_looked_for_base = False
        self.path.unlink(missing_ok=True)
        if self._staging.kept is not None and self.kept_bytes:
            self._staging.kept.remove(self._staging.entry)

    def _space_check(self, size_bytes: int) -> SpaceCheck:
        promise = self._promised.enter_context(
            self._ledger.promise(self._staging.entry, self._staging.token, self._staging.make_room)
        )
        sizes = FileSizes(size_bytes)
        if not self._reserves_whole_disk:
            sizes = FileSizes(min(ImageSize.of(self._image).size_bytes or 1, size_bytes), size_bytes)
        return SpaceCheck(
            image=self._image,
            ledger=self._ledger,
            promise=promise,
            sizes=sizes,
            reserves_whole_disk=self._reserves_whole_disk,
            written_to=PIECES,
        )


def _note_content(file: RelayFile, path: Path, check: Callable[[], None]) -> None:
    """Add to the file the digests of its pieces. Holes are pieces that it lacks. check: called ten times a second."""
    index, check_at_s = 0, 0.0

    def watch(_hashed_bytes: int, _read_bytes: int) -> None:
        nonlocal check_at_s
        if time.monotonic() >= check_at_s:
            check()
            check_at_s = time.monotonic() + POLL_SECONDS

    def add(digests: bytes) -> None:
        nonlocal index
        for start in range(0, len(digests), DIGEST_BYTES):
            digest = digests[start : start + DIGEST_BYTES]
            if digest != ZERO_DIGEST:
                file.add_local(index, digest)
            index += 1

    with ContentHash(path, watch, on_digests=add) as content:
        content.digest()
