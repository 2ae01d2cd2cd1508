"""Damaged and rearranged qcow2 images, made from sound ones by small changes of what their readers decide by.

A change is three numbers, so that Hypothesis can draw and shrink it, and a fuzzer of bytes can make it. Some changes
leave the disk as it is: tables and clusters that were moved to the end of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_OFFSET = 0x00FFFFFFFFFFFE00
_HEADER_FIELDS = (
    (4, "I"), (8, "Q"), (16, "I"), (20, "I"), (24, "Q"), (32, "I"), (36, "I"), (40, "Q"), (48, "Q"), (56, "I"),
    (60, "I"), (64, "Q"), (72, "Q"), (80, "Q"), (88, "Q"), (96, "I"), (100, "I"), (104, "B"), (104, "I"), (108, "I"),
    (112, "I"), (116, "I"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """kind: what is changed; place: where; value: to what. Any numbers are valid."""

    kind: int
    place: int
    value: int


class _Canvas:
    """An image that is being changed. What its header says is never trusted."""

    def __init__(self, image: bytes, others: Sequence[bytes]) -> None:
        self.image = bytearray(image.ljust(120, b"\0"))
        self.others = others

    @property
    def cluster_bytes(self) -> int:
        return 1 << min(max(self._number(20, "I"), 9), 16)

    def _number(self, offset: int, kind: str) -> int:
        return int(struct.unpack_from(">" + kind, self.image, offset)[0])

    def _slots(self, offset: int, count: int) -> range:
        """Return the places of the 64-bit words of a table, as far as they are in the file."""
        first = min(offset, len(self.image))
        return range(first, min(first + 8 * count, len(self.image) - 7), 8)

    def _l1_slots(self) -> range:
        return self._slots(self._number(40, "Q"), min(self._number(36, "I"), 4096))

    def _tables(self) -> list[int]:
        """Return the L1 slots that refer to a table within the file."""
        return [at for at in self._l1_slots() if 0 < self._number(at, "Q") & _OFFSET < len(self.image)]

    def _l2_slots(self, place: int) -> range:
        tables = self._tables()
        if not tables:
            return range(0)
        return self._slots(self._number(tables[place % len(tables)], "Q") & _OFFSET, self.cluster_bytes // 8)

    def _used_slot(self, place: int) -> int | None:
        slots = [at for at in self._l2_slots(place) if self._number(at, "Q")]
        return slots[place // 7 % len(slots)] if slots else None

    def put(self, offset: int, kind: str, value: int) -> None:
        size = struct.calcsize(">" + kind)
        if offset + size <= len(self.image):
            struct.pack_into(">" + kind, self.image, offset, value % (1 << 8 * size))

    def interesting(self, old: int, value: int) -> int:
        """Return a number that a reader may take for a valid one, and that differs from the old one by little."""
        choice, rest, cluster = value % 12, value // 12, self.cluster_bytes
        return (
            old ^ 1 << rest % 64,
            old + 1,
            old - 1,
            old + cluster,
            old - cluster,
            rest,
            rest % (len(self.image) // cluster + 3) * cluster,
            old & ~_OFFSET | rest % (len(self.image) // cluster + 3) * cluster,
            old & ~_OFFSET | rest % (len(self.image) // 512 + 3) * 512,
            0,
            len(self.image) // cluster * cluster,
            old ^ (1 << 62 | (rest % 5) << 60),
        )[choice]

    # The changes.

    def header(self, place: int, value: int) -> None:
        offset, kind = _HEADER_FIELDS[place % len(_HEADER_FIELDS)]
        self.put(offset, kind, self.interesting(self._number(offset, kind), value))

    def l1_entry(self, place: int, value: int) -> None:
        slots = self._l1_slots()
        if slots:
            at = slots[place % len(slots)]
            self.put(at, "Q", self.interesting(self._number(at, "Q"), value))

    def l2_entry(self, place: int, value: int) -> None:
        at = self._used_slot(place)
        if at is not None:
            self.put(at, "Q", self.interesting(self._number(at, "Q"), value))

    def any_l2_entry(self, place: int, value: int) -> None:
        slots = self._l2_slots(place)
        if slots:
            at = slots[place // 5 % len(slots)]
            self.put(at, "Q", self.interesting(self._number(at, "Q"), value))

    def same_entry_twice(self, place: int, value: int) -> None:
        source, target = self._used_slot(place), self._l2_slots(value)
        if source is not None and target:
            self.put(target[value // 3 % len(target)], "Q", self._number(source, "Q"))

    def byte(self, place: int, value: int) -> None:
        self.image[place % len(self.image)] ^= value % 255 + 1

    def cut(self, place: int, value: int) -> None:
        del self.image[place % len(self.image) :]
        if value % 3 == 0:
            del self.image[len(self.image) // 512 * 512 :]
        self.image += bytes(max(0, 120 - len(self.image)))

    def appended(self, place: int, value: int) -> None:
        self.image += bytes([value % 256]) * (place % 3000)

    def swapped(self, place: int, value: int) -> None:
        first, second, size = self._cluster(place), self._cluster(value), self.cluster_bytes
        if abs(first - second) >= size:
            one, other = self.image[first : first + size], self.image[second : second + size]
            self.image[first : first + size] = other.ljust(len(one), b"\0")[: len(one)]
            self.image[second : second + size] = one.ljust(len(other), b"\0")[: len(other)]

    def zeroed(self, place: int, value: int) -> None:
        first = self._cluster(place)
        length = len(self.image[first : first + self.cluster_bytes])
        self.image[first : first + length] = bytes(length)

    def _cluster(self, place: int) -> int:
        count = len(self.image) // self.cluster_bytes
        return (1 + place % max(count - 1, 1)) * self.cluster_bytes if count > 1 else 0

    def joined(self, place: int, value: int) -> None:
        if self.others:
            other = self.others[value % len(self.others)]
            at = place % len(self.image) // 512 * 512
            self.image[at:] = other[at:] or other

    def moved_l1(self, place: int, value: int) -> None:
        start, length = self._number(40, "Q"), min(self._number(36, "I"), 4096) * 8
        self.put(40, "Q", self._moved(start, length, value))

    def moved_l2(self, place: int, value: int) -> None:
        tables = self._tables()
        if tables:
            self._move(tables[place % len(tables)], value)

    def moved_cluster(self, place: int, value: int) -> None:
        at = self._used_slot(place)
        if at is not None and not self._number(at, "Q") >> 62 & 1:
            self._move(at, value)

    def _move(self, slot: int, value: int) -> None:
        entry = self._number(slot, "Q")
        self.put(slot, "Q", entry & ~_OFFSET | self._moved(entry & _OFFSET, self.cluster_bytes, value))

    def _moved(self, start: int, length: int, value: int) -> int:
        """Return where a copy of the range is. Its old place may be overwritten."""
        self.image += bytes(-len(self.image) % self.cluster_bytes)
        copy = bytes(self.image[start : start + length])
        if value % 2 and copy:
            self.image[start : start + len(copy)] = (b"%03d" % (value % 1000) * len(copy))[: len(copy)]
        target = len(self.image)
        self.image += copy.ljust(min(length, 1 << 20), b"\0")
        return target


_KINDS: tuple[Callable[[_Canvas, int, int], None], ...] = (
    _Canvas.header, _Canvas.l1_entry, _Canvas.l2_entry, _Canvas.l2_entry, _Canvas.any_l2_entry,
    _Canvas.same_entry_twice, _Canvas.byte, _Canvas.cut, _Canvas.appended, _Canvas.swapped, _Canvas.zeroed,
    _Canvas.joined, _Canvas.moved_l1, _Canvas.moved_l2, _Canvas.moved_l2, _Canvas.moved_cluster,
)  # fmt: skip


def changed(image: bytes, changes: Sequence[Change], others: Sequence[bytes] = ()) -> bytes:
    """Return the image after the changes, one after the other. others: images of which a part may come into it."""
    canvas = _Canvas(image, others)
    for change in changes:
        _KINDS[change.kind % len(_KINDS)](canvas, change.place, change.value)
    return bytes(canvas.image)
