"""What happened to a file, for those that pass it on: which hashes and pieces came, in their order. Not thread-safe."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from precache.swarm.hash_list import HashList
from precache.swarm.wire import HashBatch

_MOST_ENTRIES = 16
"""In one answer: at most some 2 MiB of hashes."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come in the news of a file. has_root: it knows the statement of the root."""

    position: int = 0
    has_root: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What a reader did not know.

    entries: batches of hashes, and indexes of pieces that came, in the order in which they came. The hash of a piece is
        before the piece. cursor: for the next call.
    root: the signed statement; empty while unknown. have_bytes: of the file, that are there.
    is_over: this is all, and nothing more can come. is_closed: the file is not read any more.
    """

    entries: tuple[HashBatch | int, ...]
    cursor: Cursor
    root: str
    have_bytes: int
    is_over: bool
    is_closed: bool


class NewsLog:
    """All entries since the beginning: 4 bytes for each piece, and who signed each batch."""

    def __init__(self) -> None:
        self._entries = array("i")
        """Indexes of pieces; -1 - n for the batch n."""
        self._batches: list[tuple[int, int, int, str, bytes]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add_piece(self, index: int) -> None:
        self._entries.append(index)

    def add_batch(self, batch: HashBatch) -> None:
        self._batches.append((batch.size_bytes, batch.first, batch.count, batch.signer, batch.signature))
        self._entries.append(-len(self._batches))

    def after(self, position: int, hashes: HashList) -> tuple[HashBatch | int, ...]:
        """Return the next entries; at most some. hashes: where the digests of the batches are."""
        return tuple(self._entry(number, hashes) for number in self._entries[position : position + _MOST_ENTRIES])

    def _entry(self, number: int, hashes: HashList) -> HashBatch | int:
        if number >= 0:
            return number
        size_bytes, first, count, signer, signature = self._batches[-1 - number]
        return HashBatch(size_bytes, first, hashes.digests(first, count), signer, signature)
