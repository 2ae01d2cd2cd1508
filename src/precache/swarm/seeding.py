"""A seeder's pieces: hashed, signed and offered to other hosts while the image is still downloaded and converted.

The file is read once, past the page cache: the digest of the whole and those of the pieces come from the same bytes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from precache.background.threads import call_in_thread
from precache.core.errors import InvariantBroken
from precache.imagecache.verification.content_digest import ContentHash
from precache.ports.swarm_trust import SwarmTrust
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import DIGEST_BYTES, MOST_HASHES, HashBatch

_log = logging.getLogger(__name__)

BATCH_DIGESTS = 64
"""A signature costs as much as hashing one piece, and each host that checks it as much as hashing three."""

BATCH_SECONDS = 0.1
"""The longest time for which a digest waits for further ones."""

_POLL_SECONDS = 0.1


class Seeding:
    """The port `FinalParts`: offers the pieces of the file of one fetch.

    A context manager. If the context ends before `finish` has returned, the file is withdrawn. Else it stays offered,
    and belongs to the caller.
    """

    def __init__(
        self,
        *,
        relay: str,
        trust: SwarmTrust,
        offer: Callable[[RelayFile], None],
        withdraw: Callable[[RelayFile], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """offer: called with the file before its first piece is known. withdraw: called with it when it is void.

        A download that was damaged is fetched again: then its file is withdrawn, and that of the second attempt is
        offered. A thread of this object calls both, never at the same time.
        monotonic: a clock, in seconds.
        """
        self._relay, self._trust, self._monotonic = relay, trust, monotonic
        self._offer, self._withdraw = offer, withdraw
        self._file: _SeededFile | None = None
        self._done: Future[str] | None = None
        self._is_finished = False

    def __enter__(self) -> Seeding:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_finished:
            self.restarted()
            if self._done is not None:
                wait([self._done])

    def began(self, path: Path, size_bytes: int) -> None:
        before = self._done
        self._file = file = _SeededFile(path, size_bytes)

        def run() -> str:
            if before is not None:
                wait([before])  # so that it does not withdraw this file
            return self._seed(file)

        self._done = call_in_thread(run, name=f"seed-{self._relay[:8]}")

    def is_final_up_to(self, end: int) -> None:
        if self._file is not None:
            self._file.advance(end)

    def restarted(self) -> None:
        file, before = self._file, self._done
        if file is None or before is None:
            return
        file.make_void()

        def run() -> str:
            wait([before])
            if before.exception() is None and file.offered is not None:  # it was hashed to its end before
                self._end(file.offered)
            raise _Void

        self._file, self._done = None, call_in_thread(run, name=f"seed-{self._relay[:8]}")

    def finish(self, check: Callable[[], None]) -> str:
        """Return the digest of the whole file, `tree-sha256:...`, when all its pieces are offered.

        Call it after the fetch has returned. check: called every 100 ms; what it raises ends the wait.
        Raises OSError if the file cannot be read.
        """
        if self._done is None:
            raise InvariantBroken("a fetch that announced nothing was seeded")
        while not wait([self._done], _POLL_SECONDS).done:
            check()
        root = self._done.result()
        self._is_finished = True
        return root

    def _seed(self, file: _SeededFile) -> str:
        relay_file = RelayFile(file.path, self._trust, self._relay, writable=False)
        try:
            relay_file.set_size(file.size_bytes)
            self._offer(relay_file)
            file.offered = relay_file
            return file.hash_into(_Batches(relay_file, self._trust, file.size_bytes, self._monotonic))
        except BaseException as error:
            if not file.is_void:
                _log.warning("The pieces of %s cannot be offered to other hosts: %s", file.path, error)
            self._end(relay_file)
            raise

    def _end(self, relay_file: RelayFile) -> None:
        self._withdraw(relay_file)
        relay_file.close()


class _Void(Exception):
    """What was announced does not count any more. Never leaves this module: the future that has it is not read."""


class _SeededFile:
    """How far one file is final. One thread hashes it; those of the fetch say how far it is."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path, self.size_bytes = path, size_bytes
        self.is_void = False
        self.offered: RelayFile | None = None
        self._end = 0
        self._changed = threading.Condition()

    def advance(self, end: int) -> None:
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def make_void(self) -> None:
        with self._changed:
            self.is_void = True
            self._changed.notify_all()

    def hash_into(self, batches: _Batches) -> str:
        """Add the digests of all pieces as they become final, and return that of the whole. Raises _Void, OSError."""
        with ContentHash(self.path, lambda _hashed, _read: self._check(), on_digests=batches.add) as content:
            end = 0
            while end < self.size_bytes:
                end = self._wait_beyond(end)
                if end < self.size_bytes:
                    content.advance(end)
                    batches.send()
            root = content.digest()
            batches.send()
            return root

    def _wait_beyond(self, end: int) -> int:
        """Return up to where the file is final, when that is beyond `end`."""
        with self._changed:
            self._changed.wait_for(lambda: self._end > end or self.is_void)
            self._check()
            return self._end

    def _check(self) -> None:
        if self.is_void:
            raise _Void


class _Batches:
    """Collects digests, signs them, and adds them to the file that is offered."""

    def __init__(self, file: RelayFile, trust: SwarmTrust, size_bytes: int, monotonic: Callable[[], float]) -> None:
        self._file, self._trust, self._size, self._monotonic = file, trust, size_bytes, monotonic
        self._first = 0
        self._digests = bytearray()
        self._sent_at = monotonic()

    def add(self, digests: bytes) -> None:
        self._digests += digests
        is_late = self._monotonic() - self._sent_at >= BATCH_SECONDS
        if is_late or len(self._digests) >= BATCH_DIGESTS * DIGEST_BYTES:
            self.send()

    def send(self) -> None:
        """Add what was collected, in batches that a record can hold."""
        most = MOST_HASHES * DIGEST_BYTES
        while self._digests:
            self._add(bytes(self._digests[:most]))
            del self._digests[:most]
        self._sent_at = self._monotonic()

    def _add(self, digests: bytes) -> None:
        batch = HashBatch(self._size, self._first, digests, self._trust.public_key)
        signature = self._trust.sign(batch.signed_content(self._file.relay))
        self._file.add_hashes(HashBatch(self._size, self._first, digests, self._trust.public_key, signature))
        self._file.add_local(self._first, digests)
        self._first += len(digests) // DIGEST_BYTES
