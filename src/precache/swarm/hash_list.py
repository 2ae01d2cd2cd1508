"""The hashes of all pieces of a file: those that are trusted, and those that are not yet. Not thread-safe."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator

from precache.core.errors import HashesDiffer
from precache.imagecache.verification.content_digest import TREE_SHA256
from precache.swarm.wire import DIGEST_BYTES, ZERO_DIGEST, HashBatch, piece_count

_KNOWN, _CLAIMED = 1, 2
_NO_DIGEST = bytes(DIGEST_BYTES)
_BLOCK = 4096


class HashList:
    """Hashes by the index of their piece.

    A hash that a seeder has signed is trusted at once. Unsigned ones are claims: they are trusted when all hashes of
    the file together agree with its root. The caller has checked signatures and that indexes are within the file.
    """

    def __init__(self, size_bytes: int) -> None:
        self.pieces = piece_count(size_bytes)
        self.unknown = self.pieces
        """How many hashes are not trusted yet, or are missing."""
        self._claimed = 0
        # Memory that is never written costs nothing: the digests of pieces of zeros stay zero here.
        self._digests = memoryview(mmap.mmap(-1, self.pieces * DIGEST_BYTES) if self.pieces else b"")
        self._state = bytearray(self.pieces)

    def knows(self, index: int) -> bool:
        """Return whether there is a trusted hash of this piece."""
        return 0 <= index < self.pieces and bool(self._state[index] & _KNOWN)

    def digest(self, index: int) -> bytes:
        """Return the digest of a piece whose hash is known."""
        digest = bytes(self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])
        return digest if digest != _NO_DIGEST else ZERO_DIGEST

    def digests(self, first: int, count: int) -> bytes:
        """Return the digests of consecutive pieces."""
        stored = bytes(self._digests[first * DIGEST_BYTES : (first + count) * DIGEST_BYTES])
        if _NO_DIGEST not in stored:
            return stored
        return b"".join(self.digest(index) for index in range(first, first + count))

    def add(self, batch: HashBatch) -> list[int]:
        """Trust the hashes; return the indexes of the new ones. Raises PieceRefused if one contradicts another."""
        new = list(self._unknown_of(batch))
        for index, digest in new:
            self._claimed -= bool(self._state[index] & _CLAIMED)
            self._state[index] = _KNOWN
            self._store(index, digest)
        self.unknown -= len(new)
        return [index for index, _ in new]

    def claim(self, batch: HashBatch) -> None:
        """Note the unsigned hashes. Raises PieceRefused if they contradict trusted ones."""
        for index, digest in self._unknown_of(batch):
            self._claimed += not self._state[index] & _CLAIMED
            self._state[index] |= _CLAIMED
            self._store(index, digest)

    @property
    def claims_all(self) -> bool:
        """Return whether every hash is trusted or claimed, and at least one is claimed."""
        return 0 < self._claimed == self.unknown

    def settle_claims(self, root: str) -> list[int]:
        """Trust all claims and return their indexes if all hashes agree with the root; else forget the claims.

        Raises PieceRefused with the first of them if they do not agree.
        """
        agrees = self.root() == root
        claimed = [index for index in range(self.pieces) if self._state[index] & _CLAIMED]
        for index in claimed:
            self._state[index] = _KNOWN if agrees else 0
        self._claimed = 0
        if not agrees:
            raise HashesDiffer(claimed[0], "the unsigned hashes of its file do not agree with the root")
        self.unknown = 0
        return claimed

    def root(self) -> str:
        """Return the digest of the whole file, if all its hashes are known or claimed."""
        whole = hashlib.sha256()
        for first in range(0, self.pieces, _BLOCK):
            whole.update(self.digests(first, min(_BLOCK, self.pieces - first)))
        return f"{TREE_SHA256}:{whole.hexdigest()}"

    def _unknown_of(self, batch: HashBatch) -> Iterator[tuple[int, bytes]]:
        """Return index and digest of those that are not trusted. Raises PieceRefused if one contradicts another."""
        for place in range(batch.count):
            index = batch.first + place
            digest = batch.digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
            if not self._state[index] & _KNOWN:
                yield index, digest
            elif digest != self.digest(index):
                raise HashesDiffer(index, "its hash does not agree with an earlier one")

    def _store(self, index: int, digest: bytes) -> None:
        kept = digest if digest != ZERO_DIGEST else _NO_DIGEST
        place = slice(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)
        if self._digests[place] != kept:
            self._digests[place] = kept
