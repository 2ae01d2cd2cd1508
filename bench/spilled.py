"""Counts what a qcow2 of each layout costs besides its result: the bytes that wait in the side file.

    make bench-spilled [SIZE_MIB=32]

Every table is kept there; data only if it comes before the table that refers to it. The numbers are exact, and the same
on every machine with the same qemu-img. A run of full size writes `results/spilled.md`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.result_files import RESULTS
from precache.fetch.decoding.placements import NotStreamable
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import decode_checked
from tests.disk_images.qcow2_layouts import HISTORIES, Layout, image_of
from tests.disk_images.qcow2_writer import ORDERS, Qcow2Writer, Shape

FULL_SIZE_MIB = 32
MIB = 1 << 20

VARIANTS = (
    Layout(),
    Layout(compression="zlib"),
    Layout(compression="zstd"),
    Layout(cluster_bytes=4096),
    Layout(cluster_bytes=2 * MIB),
    Layout(preallocation="metadata"),
    Layout(is_extended=True),
)
SMALLEST = Layout(cluster_bytes=512)  # for what is not possible with the usual clusters

HEAD = "| layout | file, MiB | kept in the side file, MiB | of the file |\n|---|---|---|---|\n"
INTRODUCTION = """# What waits in the side file

Written by `make bench-spilled`: disks of {} MiB, two thirds of them data. Each image is decoded in memory.
A layout that is left to qemu-img needs the whole file beside its result.

"""


@dataclass(frozen=True, slots=True)
class Line:
    """One layout. spilled_bytes: None if it is left to qemu-img, for the reason."""

    name: str
    file_bytes: int
    spilled_bytes: int | None
    reason: str = ""

    def __str__(self) -> str:
        size = f"{self.file_bytes / MIB:.1f}"
        if self.spilled_bytes is None:
            return f"| {self.name} | {size} | left to qemu-img: {self.reason} | |\n"
        share = 100 * self.spilled_bytes / self.file_bytes
        return f"| {self.name} | {size} | {self.spilled_bytes / MIB:.2f} | {share:.1f} % |\n"


def lines(size_bytes: int) -> Iterator[Line]:
    """Return a line for each layout that qemu's tools make, then for the orders that other programs may write."""
    for history in HISTORIES:
        for variant in VARIANTS if history == "converted" else (*VARIANTS[:2], SMALLEST):
            layout = replace(variant, history=history, size_bytes=size_bytes)
            if variant == SMALLEST and replace(layout, cluster_bytes=VARIANTS[0].cluster_bytes).exists:
                continue
            if layout.exists:
                yield line(str(layout), image_of(layout))
    for order in ORDERS:
        clusters = size_bytes // 4096 // 4
        yield line(f"other programs: {order}", Qcow2Writer(Shape("pc" * clusters, cluster_bits=12, order=order)).image)


def line(name: str, image: bytes) -> Line:
    try:
        return Line(name, len(image), decode_checked(Qcow2Reader, image).spilled_bytes)
    except NotStreamable as error:
        return Line(name, len(image), None, error.reason)


def main() -> None:
    size_mib = int(os.environ.get("SIZE_MIB", FULL_SIZE_MIB))
    table = INTRODUCTION.format(size_mib) + HEAD + "".join(map(str, lines(size_mib * MIB)))
    print(table)
    if size_mib >= FULL_SIZE_MIB:
        (RESULTS / "spilled.md").write_text(table)


if __name__ == "__main__":
    main()
