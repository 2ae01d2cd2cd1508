"""The state of a reader between two blocks, and how it lies in the side file behind the end of the image.

It holds what the markers have told, in 8 bytes for each grain. Each marker at its own place would take a page of the
side file: 640 MB of writes for 10 GiB, at a pause that has two seconds.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from precache.fetch.decoding.placements import NotStreamable, ReadSpilled, Spill
from precache.fetch.vmdk.grains import MOST_GRAINS, MOST_PIECES, SeenGrains, SpilledPieces

_MAGIC = b"grains 1"
_FIELDS = struct.Struct("=8sQQ??QQQQQ")
_MOST_RECORD_BYTES = 4 << 20
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that changes in a reader, as of one moment.

    position, rest_bytes, is_kept, is_ended, record, record_bytes, placed_up_to: as in the reader.
    grains, pieces: how many there were of both, which are only ever added to; last_end: of the last piece.
    """

    position: int
    rest_bytes: int
    is_kept: bool
    is_ended: bool
    record: bytes
    record_bytes: int
    placed_up_to: int
    grains: int
    pieces: int
    last_end: int

    def spills(self, file_bytes: int, grains: SeenGrains, spilled: SpilledPieces) -> Iterator[Spill]:
        """Yield what must be in the side file. grains, spilled: those of the reader, perhaps with more by now."""
        fields = _FIELDS.pack(
            _MAGIC,
            self.position,
            self.rest_bytes,
            self.is_kept,
            self.is_ended,
            len(self.record),
            self.record_bytes,
            self.placed_up_to,
            self.grains,
            self.pieces,
        )
        offset = _offset(file_bytes)
        for part in (
            fields,
            self.record,
            *(words.tobytes() for words in grains.columns(self.grains)),
            *(words.tobytes() for words in spilled.columns(self.pieces, self.last_end)),
        ):
            if part:
                yield Spill(offset, memoryview(part))
            offset += len(part)


def restore(file_bytes: int, read_spilled: ReadSpilled) -> tuple[Checkpoint, SeenGrains, SpilledPieces] | None:
    """Return what the side file has; None if the image begins. Raises NotStreamable if it is damaged."""
    offset = _offset(file_bytes)
    magic, position, rest, is_kept, is_ended, length, record_bytes, placed_up_to, grains, pieces = _FIELDS.unpack(
        read_spilled(offset, _FIELDS.size)
    )
    if magic != _MAGIC:
        return None
    if grains > MOST_GRAINS or pieces > MOST_PIECES or length > _MOST_RECORD_BYTES or position > file_bytes:
        raise NotStreamable("what was kept of it is damaged")
    offset += _FIELDS.size

    def take(count: int) -> bytes:
        nonlocal offset
        offset += count
        return read_spilled(offset - count, count)

    record = take(length)
    seen = SeenGrains(*(array("I", take(4 * grains)) for _ in range(2)))
    spilled = SpilledPieces(*(array("Q", take(8 * pieces)) for _ in range(2)))
    checkpoint = Checkpoint(
        position, rest, is_kept, is_ended, record, record_bytes, placed_up_to, grains, pieces, spilled.last_end
    )
    return checkpoint, seen, spilled


def _offset(file_bytes: int) -> int:
    return -(-file_bytes // _PAGE_BYTES) * _PAGE_BYTES
