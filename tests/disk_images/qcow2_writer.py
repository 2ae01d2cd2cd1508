"""Writes legal qcow2 files whose parts are in any order: as other programs than qemu may write them.

Tables may follow their data, clusters may be in any order, compressed clusters share their sectors, and there may be
parts that nothing refers to. Source: qemu's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass, field

import zstandard

_COPIED, _COMPRESSED, _ZERO = 1 << 63, 1 << 62, 1
_SUBCLUSTERS = 32
_ALL = 0xFFFFFFFF

ORDERS = ("as by qemu", "tables last", "L1 last", "data first, backwards", "backwards", "any")
"""How the parts follow one another in the file."""

KINDS = "-pcz0aus"
"""What a cluster of the disk is: not there, plain, compressed, marked as zero, plain zeros, marked as zero but with a
place in the file, plain with a damaged part behind its reference to zero, of several kinds of subclusters."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is like.

    kinds: of the clusters of the disk, in order; letters of KINDS. last_sectors: of the last cluster of the disk.
    seed: of contents and of orders. unused: how many clusters nothing refers to. ends_early: whether the file ends
        with the last byte that is needed, and not with a whole cluster.
    """

    kinds: str
    cluster_bits: int = 9
    version: int = 3
    is_zstd: bool = False
    is_extended: bool = False
    order: str = "any"
    last_sectors: int = 1 << 12
    seed: int = 0
    unused: int = 0
    ends_early: bool = False


@dataclass(slots=True)
class _Part:
    """A range of the file. place: where it begins, as soon as that is known."""

    name: str
    content: bytearray
    place: int = 0
    clusters: list[tuple[int, int, int]] = field(default_factory=list)  # number, start in the part, length


class Qcow2Writer:
    """Makes one file of one shape. `image` is the file, `disk` what it holds."""

    def __init__(self, shape: Shape) -> None:
        self._shape, self._random = shape, random.Random(shape.seed)
        self._cluster = 1 << shape.cluster_bits
        self._words = 2 if shape.is_extended else 1
        self._per_table = self._cluster // (8 * self._words)
        last = min(shape.last_sectors * 512, self._cluster)
        self._disk_bytes = (len(shape.kinds) - 1) * self._cluster + last
        self._contents = [bytes(self._cluster)] * len(shape.kinds)
        self._entries: dict[int, tuple[int, int]] = {}
        self._data: list[_Part] = []
        self._make_clusters()
        self.disk = b"".join(self._contents)[: self._disk_bytes]
        self.image = self._file()

    def _make_clusters(self) -> None:
        packed: list[tuple[int, bytes]] = []
        for number, kind in enumerate(self._shape.kinds):
            if kind == "c":
                content = self._content() if self._random.random() < 0.1 else self._compressible()
                data = self._compress(content)
                if len(data) + 511 <= 2 * self._cluster:  # more sectors cannot be expressed
                    self._contents[number] = content
                    packed.append((number, data))
            elif kind == "p" or (kind in "us" and not self._shape.is_extended):
                self._add_plain(number, self._content())
            elif kind == "0":
                self._add_plain(number, bytes(self._cluster))
            elif kind == "z" and self._shape.version == 3:
                self._entries[number] = (0, _ALL << 32) if self._shape.is_extended else (_ZERO, 0)
            elif kind == "a" and self._shape.version == 3:
                self._add_zeroed(number)
            elif kind in "us":
                self._add_subclusters(number, may_be_zero=kind == "s")
        self._pack(packed)

    def _content(self) -> bytes:
        return self._random.randbytes(self._cluster) if self._random.random() < 0.7 else self._compressible()

    def _compressible(self) -> bytes:
        word = self._random.randbytes(self._random.choice((1, 3, 40)))
        return (word * self._cluster)[: self._cluster]

    def _compress(self, content: bytes) -> bytes:
        if self._shape.is_zstd:
            return zstandard.ZstdCompressor().compress(content)
        packer = zlib.compressobj(self._random.choice((1, 6, 9)), zlib.DEFLATED, -12)
        return packer.compress(content) + packer.flush()

    def _add_plain(self, number: int, content: bytes) -> None:
        self._contents[number] = content
        self._entries[number] = (_COPIED, _ALL if self._shape.is_extended else 0)
        self._data.append(_Part("data", bytearray(content), clusters=[(number, 0, 0)]))

    def _add_zeroed(self, number: int) -> None:
        self._entries[number] = (_COPIED, _ALL << 32) if self._shape.is_extended else (_COPIED | _ZERO, 0)
        self._data.append(_Part("data", bytearray(self._content()), clusters=[(number, 0, 0)]))

    def _add_subclusters(self, number: int, *, may_be_zero: bool) -> None:
        stored, content = self._content(), bytearray(self._cluster)
        allocated = self._random.getrandbits(_SUBCLUSTERS)
        zero = self._random.getrandbits(_SUBCLUSTERS) & ~allocated if may_be_zero else 0
        part = self._cluster // _SUBCLUSTERS
        for at in range(_SUBCLUSTERS):
            if allocated >> at & 1:
                content[at * part : (at + 1) * part] = stored[at * part : (at + 1) * part]
        self._contents[number] = bytes(content)
        self._entries[number] = (_COPIED, allocated | zero << 32)
        self._data.append(_Part("data", bytearray(stored), clusters=[(number, 0, 0)]))

    def _pack(self, packed: list[tuple[int, bytes]]) -> None:
        """Put compressed clusters into a few parts, one directly behind the other."""
        if self._shape.order == "any":
            self._random.shuffle(packed)
        while packed:
            count = self._random.randint(1, 30)
            taken, packed = packed[:count], packed[count:]
            part = _Part("compressed", bytearray(self._random.randint(0, 600)))
            for number, data in taken:
                part.clusters.append((number, len(part.content), len(data)))
                part.content += data
            self._data.append(part)

    def _file(self) -> bytes:
        tables, l1 = self._tables(), _Part("l1", bytearray(8 * self._l1_entries()))
        counts = _Part("refcounts", bytearray(self._cluster))
        unused = [_Part("unused", bytearray(self._misleading())) for _ in range(self._shape.unused)]
        parts = self._ordered(l1, counts, tables, unused)
        end = self._cluster
        for part in parts:
            part.place, end = end, end + -(-len(part.content) // self._cluster) * self._cluster
        self._fill_tables(tables, l1)
        image = bytearray(end)
        image[: self._cluster] = self._header(l1.place, counts.place)
        for part in parts:
            image[part.place : part.place + len(part.content)] = part.content
        if self._shape.ends_early and parts:
            del image[self._needed_end(parts[-1]) :]
        return bytes(image)

    def _needed_end(self, part: _Part) -> int:
        content = part.content.rstrip(b"\0") if part.name == "data" else part.content
        return part.place + max(len(content), 1)

    def _l1_entries(self) -> int:
        return -(-len(self._shape.kinds) // self._per_table)

    def _tables(self) -> dict[int, _Part]:
        present = {*self._entries, *(cluster[0] for part in self._data for cluster in part.clusters)}
        used = {number // self._per_table for number in present}
        if self._shape.unused:
            used |= {number for number in range(self._l1_entries()) if self._random.random() < 0.3}  # without an entry
        return {number: _Part("table", bytearray(self._cluster)) for number in sorted(used)}

    def _misleading(self) -> bytes:
        """Return what looks like a table, or noise."""
        if self._random.random() < 0.5:
            return self._random.randbytes(self._cluster)
        words = [_COPIED | self._random.randrange(64) * self._cluster for _ in range(self._cluster // 8)]
        return struct.pack(f">{len(words)}Q", *words)

    def _ordered(self, l1: _Part, counts: _Part, tables: dict[int, _Part], unused: list[_Part]) -> list[_Part]:
        order, data, level2 = self._shape.order, [*self._data, *unused], list(tables.values())
        if order == "as by qemu":
            return [counts, l1, *level2, *data]
        if order == "tables last":
            return [counts, *data, *level2, l1]
        if order == "L1 last":
            return [counts, *level2, *data, l1]
        if order == "data first, backwards":
            return [*data[::-1], l1, *level2, counts]
        parts = [l1, counts, *level2, *data]
        if order == "any":
            self._random.shuffle(parts)
        return parts[::-1]

    def _fill_tables(self, tables: dict[int, _Part], l1: _Part) -> None:
        for number, table in tables.items():
            struct.pack_into(">Q", l1.content, 8 * number, table.place | _COPIED)
        for part in self._data:
            for number, start, length in part.clusters:
                if part.name == "compressed":
                    self._entries[number] = (self._compressed_entry(part.place + start, length), 0)
                else:
                    flags, bitmap = self._entries[number]
                    self._entries[number] = (flags | part.place, bitmap)
        for number, words in self._entries.items():
            table, at = tables[number // self._per_table], number % self._per_table
            struct.pack_into(f">{self._words}Q", table.content, at * 8 * self._words, *words[: self._words])

    def _compressed_entry(self, start: int, length: int) -> int:
        more_sectors = (start + length - 1) // 512 - start // 512
        return _COMPRESSED | more_sectors << (62 - (self._shape.cluster_bits - 8)) | start

    def _header(self, l1: int, counts: int) -> bytes:
        shape = self._shape
        header = struct.pack(
            ">4sIQIIQIIQQIIQ", b"QFI\xfb", shape.version, 0, 0, shape.cluster_bits, self._disk_bytes, 0,
            self._l1_entries(), l1, counts, 1, 0, 0,
        )  # fmt: skip
        if shape.version == 3:
            features = shape.is_zstd << 3 | shape.is_extended << 4
            header += struct.pack(">QQQIIB7x", features, 0, 0, 4, 112, shape.is_zstd)
        return header.ljust(self._cluster, b"\0")
