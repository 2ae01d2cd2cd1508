"""Reads a qcow2 while it arrives.

Each byte of the image is accounted for once, in the order of the file: it belongs to a table, to a known piece of the
disk, or to neither. Tables are kept in the side file. Bytes of neither kind are kept there too as long as a table is
missing, because it may refer to them; else they are dropped. A piece that becomes known when its bytes have gone by is
read from the side file; if they were dropped the image is not streamable.

The length of a compressed cluster is stored in whole sectors, so its first and last sector may hold parts of its
neighbours. Where a neighbour is not known, and a table is missing, these sectors are kept as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from precache.fetch.decoding.placements import (
    Action,
    Compression,
    Inflate,
    InflateSpilled,
    NotStreamable,
    Place,
    PlaceSpilled,
    ReadSpilled,
    Spill,
    Truncated,
)
from precache.fetch.qcow2.arrived import ArrivedBytes
from precache.fetch.qcow2.entries import MOST_PIECES, Pieces, pieces_of, table_offsets
from precache.fetch.qcow2.header import read_header
from precache.fetch.qcow2.known_pieces import NEVER, KnownPieces
from precache.fetch.qcow2.passed_bytes import PassedBytes
from precache.fetch.qcow2.tables import OVERLAP, TableMap, WaitingTables
from precache.rules.disk_formats.qcow2_layout import SECTOR_BYTES

_LARGEST_UNIT_BYTES = 4096
"""No file system needs a coarser alignment for direct writes."""


class Qcow2Reader:
    """Implements StreamReader."""

    def __init__(
        self, head: bytes, file_bytes: int, read_spilled: ReadSpilled, *, most_pieces: int = MOST_PIECES
    ) -> None:
        """head, file_bytes: as of `read_header`. Raises NotStreamable if qemu-img must read the image.

        most_pieces: how many are known at once, of more than one table; the other tables wait in the side file.
        """
        self._header = header = read_header(head, file_bytes)
        self._file_bytes, self._read_spilled = file_bytes, read_spilled
        self._whole_end = -(-file_bytes // header.cluster_bytes) * header.cluster_bytes
        self._most_pieces = most_pieces
        self._unit = min(header.subcluster_bytes, _LARGEST_UNIT_BYTES)
        self._arrived = ArrivedBytes()
        self._position = 0
        """In the file: what lies before it is accounted for."""
        self._tables = TableMap(header)
        self._waiting = WaitingTables()
        self._known = KnownPieces(
            table_count=header.l1_entries, table_covers=header.table_covers, disk_bytes=header.disk_bytes
        )
        self._passed = PassedBytes(most_pieces)
        self._inflated_to = -1
        """The end of the last piece if that was compressed: the next one may begin in its last sector."""

    @property
    def disk_bytes(self) -> int:
        return self._header.disk_bytes

    @property
    def unit_bytes(self) -> int:
        return self._unit

    @property
    def compression(self) -> Compression:
        return self._header.compression

    @property
    def placed_up_to(self) -> int:
        return self._known.placed_up_to(self._position)

    def feed(self, data: memoryview) -> Iterator[Action]:
        self._arrived.append(data)
        end = self._arrived.end
        if end > self._file_bytes:
            raise NotStreamable(f"more than its {self._file_bytes} bytes")
        yield from self._advance(end if end == self._file_bytes else end // self._unit * self._unit)
        self._arrived.keep_from(self._needed_from())

    def held(self) -> Iterator[Spill]:
        kept = chain([self._arrived.kept()], self._passed.sectors().items())
        return (Spill(offset, memoryview(data)) for offset, data in kept if data)

    def finish(self) -> Iterator[Action]:
        if self._arrived.end != self._file_bytes:
            raise NotStreamable(f"{self._arrived.end} of its {self._file_bytes} bytes")
        if max(self._known.last_start(), self._tables.last_start()) >= self._whole_end:
            # Before a cluster that is cut is found to be damaged.
            raise Truncated
        yield from self._place_cut_pieces()
        self._position = NEVER
        while self._waiting:
            yield from self._load(*self._waiting.take())
        while self._tables.next_start() != NEVER:
            yield from self._load(*self._tables.take())

    def _advance(self, limit: int) -> Iterator[Action]:
        """Account for all that has arrived before `limit`, and for compressed pieces that end behind it."""
        known = self._known
        while True:
            if known.is_compressed and known.start <= self._position:
                if known.end > self._arrived.end:
                    return
                yield from self._inflate()
                continue
            if self._position >= limit:
                return
            table_start = self._tables.next_start()
            if known.start <= self._position:
                yield from self._place(min(known.end, limit))
            elif table_start <= self._position:
                yield from self._keep_table(limit)
            else:
                yield from self._skip(min(known.start, table_start, limit))

    def _needed_from(self) -> int:
        """Return where the bytes begin that are still needed; a compressed piece needs its whole first sector."""
        if not self._known.is_compressed:
            return self._position
        return min(self._position, self._known.start // SECTOR_BYTES * SECTOR_BYTES)

    def _part(self, end: int) -> memoryview:
        """Return the next bytes, up to `end` or before it, and set the position behind them."""
        start = self._position
        self._position = end = self._arrived.end_of_part(start, end, self._unit)
        return self._arrived.take(start, end)

    def _skip(self, end: int) -> Iterator[Action]:
        """Skip the bytes before `end`, which no known piece and no table needs."""
        if not self._tables.missing:
            self._position = end
            return
        start = self._position
        yield Spill(start, self._part(end))

    def _place(self, end: int) -> Iterator[Action]:
        """Place the next piece up to `end`."""
        known, start = self._known, self._position
        disk_offset = known.disk_offset + start - known.start
        part = self._part(end)
        if self._tables.missing:
            self._passed.drop(start, self._position)
        is_complete = self._position == known.end
        if is_complete:
            self._finish_piece()
        yield Place(disk_offset, part)
        if is_complete:
            yield from self._load_waiting()

    def _inflate(self) -> Iterator[Action]:
        known = self._known
        start, end, disk_offset = known.start, known.end, known.disk_offset
        data = bytes(self._arrived.take(start, end))
        before, self._position, self._inflated_to = self._position, end, end
        self._finish_piece()
        yield Inflate(disk_offset, self._disk_bytes_of(disk_offset), self._header.cluster_bytes, data)
        if self._tables.missing:
            yield from self._passed.add_compressed(start, end, before, known.start, self._arrived)
        yield from self._load_waiting()

    def _finish_piece(self) -> None:
        """Note that all of the next piece is placed, and check the one behind it."""
        self._known.take()
        self._check_next()

    def _check_next(self) -> None:
        """Raise NotStreamable if the next piece begins before the position and not in the sector that it may share."""
        if self._known.start < self._position and not (
            self._known.is_compressed and self._is_shared(self._known.start)
        ):
            raise NotStreamable(OVERLAP)

    def _is_shared(self, start: int) -> bool:
        return self._position == self._inflated_to and start >= self._position - SECTOR_BYTES

    def _disk_bytes_of(self, disk_offset: int) -> int:
        """Return how many bytes of a cluster belong to the disk."""
        return min(self._header.cluster_bytes, self._header.disk_bytes - disk_offset)

    def _keep_table(self, limit: int) -> Iterator[Action]:
        """Keep the next table up to `limit`. If it is complete then, read it."""
        start, end = self._position, self._tables.next_end()
        yield Spill(start, self._part(min(end, limit)))
        if self._position < end:
            return
        if self._tables.is_l1_read:
            yield from self._load(*self._tables.take())
        else:
            yield from self._read_l1()

    def _read_l1(self) -> Iterator[Action]:
        header = self._header
        offsets = table_offsets(self._read_spilled(header.l1_offset, 8 * header.l1_entries), header)
        self._tables.add(offsets)
        nothing = Pieces()
        for index, offset in enumerate(offsets):
            if not offset:
                self._known.add(index, nothing)
        while self._tables.next_start() < self._position:
            yield from self._load(*self._tables.take())
        if not self._tables.missing:
            self._passed.forget()

    def _load_waiting(self) -> Iterator[Action]:
        while self._waiting and self._has_room_for(self._waiting.piece_count):
            yield from self._load(*self._waiting.take())

    def _has_room_for(self, pieces: int) -> bool:
        return not self._known.count or self._known.count + pieces <= self._most_pieces

    def _load(self, offset: int, index: int) -> Iterator[Action]:
        """Read a table of the second level from the side file, and place those of its pieces that have gone by."""
        header = self._header
        inside = min(header.cluster_bytes, self._file_bytes - offset)
        # qemu reads zeros behind the end of the file, where the last cluster may be cut.
        table = self._read_spilled(offset, inside).ljust(header.cluster_bytes, b"\0")
        pieces = pieces_of(table, header, index * header.table_covers)
        if not self._has_room_for(len(pieces)):
            self._waiting.add(offset, index, len(pieces))
            return
        self._tables.check(pieces)
        if pieces and min(pieces.file_offsets) < self._position:
            later = Pieces()
            yield from self._place_earlier(pieces, later)
            pieces = later
        self._known.add(index, pieces)
        self._check_next()
        self._tables.missing -= 1
        if not self._tables.missing:
            self._passed.forget()

    def _place_earlier(self, pieces: Pieces, later: Pieces) -> Iterator[Action]:
        """Place the pieces whose bytes have gone by, and add the others to `later`."""
        for disk_offset, start, length, is_compressed in pieces:
            end = start + length
            if start >= self._position or (is_compressed and self._is_shared(start)):
                later.add(disk_offset, start, length, is_compressed=is_compressed)
                continue
            if end > self._position:
                raise NotStreamable(OVERLAP)
            arrived_to = self._arrived_of(start, end, is_compressed=is_compressed)
            if is_compressed:
                yield self._inflate_passed(disk_offset, start, arrived_to)
                continue
            self._passed.check_kept(start, arrived_to)
            if start < arrived_to:
                yield PlaceSpilled(disk_offset, start, arrived_to - start)

    def _inflate_passed(self, disk_offset: int, start: int, end: int) -> Inflate | InflateSpilled:
        disk_bytes, cluster = self._disk_bytes_of(disk_offset), self._header.cluster_bytes
        data = self._passed.in_memory(start, end)
        if data is not None:
            return Inflate(disk_offset, disk_bytes, cluster, data)
        self._passed.check_kept(start, end)
        return InflateSpilled(disk_offset, disk_bytes, cluster, start, end - start)

    def _place_cut_pieces(self) -> Iterator[Action]:
        """Place what has arrived of the pieces that are cut by the end of the image."""
        known = self._known
        while known.start != NEVER:
            start, end, disk_offset, is_compressed = known.start, known.end, known.disk_offset, known.is_compressed
            arrived_to = self._arrived_of(start, end, is_compressed=is_compressed)
            if is_compressed:
                self._passed.add_cut(start, arrived_to, self._position)
                self._position, self._inflated_to = end, end
            self._finish_piece()
            if is_compressed:
                data = bytes(self._arrived.take(start, arrived_to))
                yield Inflate(disk_offset, self._disk_bytes_of(disk_offset), self._header.cluster_bytes, data)

    def _arrived_of(self, start: int, end: int, *, is_compressed: bool) -> int:
        """Return the end of what has arrived of a piece, when the image is complete.

        The last cluster of the file may be cut: what is missing there reads as zeros. Raises Truncated if more is
        missing than this.
        """
        if (start >= self._file_bytes) if is_compressed else (end > self._whole_end):
            raise Truncated
        return min(end, self._file_bytes)
