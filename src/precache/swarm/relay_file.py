"""The pieces of one file on this host: which are there, in which order they came, and with which hashes.

One thread writes, any number read: those that serve the pieces on while others still arrive. A piece is written only
after it agreed with a hash that a seeder of the relay has signed, or with the root that a conductor has signed.
Nothing here publishes the file: see `agrees`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Condition

from precache.core.errors import HashesDiffer, PieceRefused
from precache.core.relays import PIECE_BYTES
from precache.imagecache.bases import Base
from precache.ports.swarm_trust import RootStatement, SwarmTrust
from precache.swarm.hash_list import HashList
from precache.swarm.local_digests import LocalDigests
from precache.swarm.news import Cursor, News, NewsLog
from precache.swarm.shared_file import SharedFile
from precache.swarm.wire import (
    DIGEST_BYTES,
    MOST_HASHES,
    MOST_PIECES,
    PREFIX_BYTES,
    ZERO_DIGEST,
    HashBatch,
    piece_count,
    piece_length,
)

_NO_PREFIX = bytes(PREFIX_BYTES)


def _do_nothing() -> None:
    """Let pieces be written without a check before."""


class RelayFile:
    """The pieces of the file of one relay. Thread-safe, with one writer.

    Hashes are accepted from the signers that were allowed, and from this host itself.
    """

    def __init__(self, path: Path, trust: SwarmTrust, relay: str, *, writable: bool = True) -> None:
        """Open the file, and create it if it is missing. Raises OSError.

        writable: False for a file that is there and is written by another, such as that of a seeder: `add_local` then
            says what is in it. A piece of zeros counts as soon as its hash is known.
        """
        self.path, self.relay = path, relay
        self._trust = trust
        self._signers = {trust.public_key}
        self._file = SharedFile(path, writable=writable)
        self._writable = writable
        self._changed = Condition()
        self._size: int | None = None
        self._hashes = HashList(0)
        self._have = bytearray()
        self._have_bytes = 0
        self.added_bytes = 0
        """How many bytes of pieces were written by `add_piece`."""
        self._news = NewsLog()
        self._local = LocalDigests()
        self._base: Base | None = None
        self._before_pieces: Callable[[], None] = _do_nothing
        self.local_bytes = 0
        """How much was in the file already, and agreed with its hashes."""
        self._root_text = ""
        self._root: RootStatement | None = None
        self._closed = False

    @property
    def size_bytes(self) -> int | None:
        """Return the size of the file; None while unknown."""
        return self._size

    @property
    def have_bytes(self) -> int:
        """Return how many bytes are there, pieces of zeros included."""
        return self._have_bytes

    @property
    def is_whole(self) -> bool:
        """Return whether every piece is there and agrees with its hash."""
        return self._size is not None and self._have_bytes == self._size

    @property
    def root_text(self) -> str:
        """Return the signed statement of the root; empty while unknown."""
        return self._root_text

    @property
    def agrees(self) -> bool:
        """Return whether every piece is there, and the whole agrees with the root that a conductor has signed."""
        return self.is_whole and self._root is not None and self._root.root == self.root()

    def root(self) -> str:
        """Return the digest of the whole file (`tree-sha256:...`) from its hashes; empty if one is unknown."""
        with self._changed:
            return self._hashes.root() if self._size is not None and not self._hashes.unknown else ""

    def has(self, index: int) -> bool:
        """Return whether this piece is there."""
        return 0 <= index < len(self._have) and bool(self._have[index])

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of a piece that is there."""
        return self._hashes.digest(index)

    def local_digest(self, index: int) -> bytes:
        """Return the digest of this piece as it is in the file; empty if that is not known."""
        with self._changed:
            return self._local_digest(index)

    def stat(self) -> os.stat_result:
        """Return the state of the open file, whatever its name is now. Raises OSError."""
        return self._file.stat()

    def have_list(self) -> bytes:
        """Return, for each piece that need not be sent, the first 8 bytes of its SHA-256; zeros for the others.

        It ends with the last such piece. What only `add_local` or the base has counts while its hash is unknown. Pieces
        of zeros are not named, because they are never sent.
        """
        with self._changed:
            prefixes = bytearray()
            for index in range(self._most_pieces()):
                digest = self._local_digest(index) or self._base_digest(index)
                is_named = digest != ZERO_DIGEST and (self.has(index) or not self._hashes.knows(index))
                prefixes += digest[:PREFIX_BYTES].ljust(PREFIX_BYTES, b"\0") if is_named else _NO_PREFIX
        used = len(prefixes.rstrip(b"\0"))
        return bytes(prefixes[: -(-used // PREFIX_BYTES) * PREFIX_BYTES])

    def allow_signers(self, signers: Iterable[str]) -> None:
        """Accept hashes that these have signed, too. signers: public keys in hexadecimal."""
        with self._changed:
            self._signers |= set(signers)

    def set_size(self, size_bytes: int) -> None:
        """Set the size of the file, of which the caller is certain. Raises PieceRefused if it has another one."""
        with self._changed:
            self._fix_size(size_bytes, 0)
            self._changed.notify_all()

    def add_hashes(self, batch: HashBatch) -> None:
        """Add the hashes, and with them the size of the file. Nothing happens if all are known.

        Raises PieceRefused if their signature is wrong or its owner no signer, if they are unsigned and the root is
        unknown, or if they do not agree with the size, with earlier hashes or with the root.
        """
        if not 0 < batch.count <= MOST_HASHES or batch.end > piece_count(batch.size_bytes):
            raise PieceRefused(batch.first, "its hash is in a batch that is too long")
        if batch.signer and not self._is_signed(batch):
            raise PieceRefused(batch.first, "its hash is not signed by a seeder of this relay")
        with self._changed:
            if not batch.signer and self._root is None:
                raise PieceRefused(batch.first, "its hash is not signed, and the root of its file is unknown")
            self._fix_size(batch.size_bytes, batch.first)
            if not batch.signer:
                self._hashes.claim(batch)
            elif new := self._hashes.add(batch):
                self._learn(batch, new)
            self._settle_claims()
            self._changed.notify_all()
        self._take_from_base(range(batch.first, batch.end) if batch.signer else range(len(self._have)))

    def use_base(self, base: Base, before_pieces: Callable[[], None] = _do_nothing) -> None:
        """Copy the pieces of this older image that agree with their hashes, as soon as these are known.

        Only the writer calls this; readers do not wait for it. base: hashed; the caller closes it. A piece of it that
        cannot be read is received as others. before_pieces: called before pieces are copied; what it raises ends
        `add_hashes`.
        """
        self._base, self._before_pieces = base, before_pieces
        self._take_from_base(range(len(self._have)))

    def add_piece(self, index: int, data: bytes | bytearray | memoryview) -> bool:
        """Write the piece if it agrees with its hash; return False if it was there already.

        Raises PieceRefused if it does not agree, or its hash is unknown; OSError if it cannot be written.
        """
        if not self._hashes.knows(index):
            raise PieceRefused(index, "it came before its hash")
        if self._have[index]:
            return False
        if hashlib.sha256(data).digest() != self._hashes.digest(index):
            raise PieceRefused(index, "its content does not agree with its hash")
        self._write(index, data)
        self.added_bytes += len(data)
        return True

    def add_local(self, first: int, digests: bytes) -> int:
        """Note that the file has pieces with these digests already; return how many of them count now.

        A piece counts as soon as its hash is known and is the same. One with another hash does not count, and is to be
        received. digests: of 32 bytes each.
        """
        with self._changed:
            count = 0
            for place in range(len(digests) // DIGEST_BYTES):
                digest = digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
                count += self._note_local(first + place, digest)
            self._changed.notify_all()
            return count

    def set_root(self, text: str) -> None:
        """Store the signed statement of the root. Raises PieceRefused if no conductor has signed it for this file.

        Whether the pieces agree with it is for `agrees`.
        """
        if text == self._root_text:
            return
        statement = self._trust.read_root(text)
        if statement is None or statement.relay != self.relay:
            raise PieceRefused(0, "no conductor has signed the root of its file")
        with self._changed:
            if self._root is not None and statement != self._root:
                raise PieceRefused(0, "conductors have signed two roots of its file")
            self._fix_size(statement.size_bytes, 0)
            self._root, self._root_text = statement, text
            self._changed.notify_all()

    def wait_for_news(self, cursor: Cursor, timeout_s: float) -> News:
        """Return what came after the cursor; wait if there is nothing. After the time there may be no entries."""
        with self._changed:
            if not self._is_news(cursor):
                self._changed.wait_for(lambda: self._is_news(cursor), timeout_s)
            entries = self._news.after(cursor.position, self._hashes)
            after = Cursor(cursor.position + len(entries), self._root is not None)
            is_over = self.is_whole and after == Cursor(len(self._news), has_root=True)
            return News(entries, after, self._root_text, self._have_bytes, is_over, self._closed)

    def read_into(self, index: int, buffer: memoryview) -> int:
        """Read the piece into the buffer; return its length, 0 if it is not there. Raises OSError."""
        if self._closed or not self.has(index):
            return 0
        length = self._length(index)
        # Less is there if its writer has begun again, and has cut the file off.
        return length if self._file.read_into(buffer[:length], index * PIECE_BYTES) == length else 0

    def close(self) -> None:
        """End all reads and writes, and close the file. Safe to repeat."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._file.close()

    def _is_signed(self, batch: HashBatch) -> bool:
        with self._changed:
            if batch.signer not in self._signers:
                return False
        return self._trust.is_signed(batch.signed_content(self.relay), batch.signature, batch.signer)

    def _write(self, index: int, data: bytes | bytearray | memoryview) -> None:
        """Write a piece that agrees with its hash. Raises OSError, also if the file was closed meanwhile."""
        with self._changed:
            self._local.forget(index)
        self._file.write(memoryview(data), index * PIECE_BYTES)
        with self._changed:
            self._note(index)
            self._changed.notify_all()

    def _take_from_base(self, indexes: Iterable[int]) -> None:
        """Copy those of these pieces that the base has. Raises OSError if they cannot be written."""
        base = self._base
        if base is None:
            return
        wanted = [index for index in indexes if not self.has(index) and self._hashes.knows(index)]
        same = [index for index in wanted if base.digest(index) == self._hashes.digest(index)]
        if same:
            self._before_pieces()
        for index in same:
            content = base.read_if_same(index)
            if content is not None:
                self._write(index, content)
                base.taken_bytes += len(content)

    # From here on the lock is held

    def _most_pieces(self) -> int:
        """Return how many pieces the file has, or can have as far as it is known."""
        if self._size is not None:
            return len(self._have)
        return max(len(self._local), self._base.pieces if self._base else 0)

    def _base_digest(self, index: int) -> bytes:
        return self._base.digest(index) if self._base is not None else b""

    def _local_digest(self, index: int) -> bytes:
        return self._hashes.digest(index) if self.has(index) else self._local.digest(index)

    def _is_news(self, cursor: Cursor) -> bool:
        return len(self._news) > cursor.position or self._closed or (self._root is not None and not cursor.has_root)

    def _fix_size(self, size_bytes: int, index: int) -> None:
        if self._size == size_bytes:
            return
        if self._size is not None:
            raise HashesDiffer(index, f"its file has {size_bytes} bytes instead of {self._size}")
        if not 0 <= piece_count(size_bytes) <= MOST_PIECES:
            raise PieceRefused(index, f"its file has {size_bytes} bytes, more than {MOST_PIECES * PIECE_BYTES}")
        if self._writable:
            self._file.set_size(size_bytes)
        self._hashes = HashList(size_bytes)
        self._have, self._size = bytearray(self._hashes.pieces), size_bytes
        self._local.cut(self._hashes.pieces)

    def _settle_claims(self) -> None:
        if self._root is None or not self._hashes.claims_all:
            return
        claimed = self._hashes.settle_claims(self._root.root)
        for first, end in _runs(claimed):
            for start in range(first, end, MOST_HASHES):
                count = min(MOST_HASHES, end - start)
                batch = HashBatch(self._size or 0, start, self._hashes.digests(start, count))
                self._learn(batch, range(start, start + count))

    def _learn(self, batch: HashBatch, new: Iterable[int]) -> None:
        """Add the batch to the news, and note which of its pieces are there. new: those whose hashes were not known."""
        self._news.add_batch(batch)
        zeros = []
        for index in new:
            if self._is_zero(index):
                zeros.append(index)
            elif self._local.digest(index) == self._hashes.digest(index):
                self._note(index)
                self.local_bytes += self._length(index)
        for first, end in _runs(zeros):
            if self._writable:
                for index in range(first, end):
                    self._local.forget(index)
                self._file.clear(first * PIECE_BYTES, (end - first) * PIECE_BYTES)
        for index in zeros:
            self._have[index] = True
            self._have_bytes += PIECE_BYTES

    def _note_local(self, index: int, digest: bytes) -> bool:
        if self._hashes.knows(index):
            if digest == self._hashes.digest(index) and not self._have[index]:
                self._note(index)
                self.local_bytes += self._length(index)
            return digest == self._hashes.digest(index)
        if self._size is None or index < len(self._have):
            self._local.note(index, digest)
        return False

    def _note(self, index: int) -> None:
        """Note that this piece is there. Two writers may do so: a stream that was stopped can still be in a write."""
        if self._have[index]:
            return
        self._have[index] = True
        self._have_bytes += self._length(index)
        self._news.add_piece(index)

    def _is_zero(self, index: int) -> bool:
        return self._hashes.digest(index) == ZERO_DIGEST and self._length(index) == PIECE_BYTES

    def _length(self, index: int) -> int:
        return piece_length(index, self._size or 0)


def _runs(indexes: list[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive indexes, which ascend: the first, and the one after the last."""
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index:
            runs[-1] = runs[-1][0], index + 1
        else:
            runs.append((index, index + 1))
    return runs
