"""One decoding in a directory, what observes its announcements, and images that are made up for it."""

from __future__ import annotations

import os
import random
import threading
import zlib
from contextlib import contextmanager

from hypothesis import strategies as st

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.decoding.stream_decoder import StreamDecoder
from tests.unit.fetch.decoding.plan_reader import Piece, PlanReader

MIB = 1 << 20


def deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(1, zlib.DEFLATED, -12)
    return coder.compress(data) + coder.flush()


class Parts:
    """Checks each part when it is announced: it must be in the file, and as it is in the end."""

    def __init__(self, disk: bytes) -> None:
        self.disk, self.ends, self.size = disk, [0], 0

    def began(self, path, size_bytes):
        self.path, self.size = path, size_bytes
        assert size_bytes == len(self.disk) == path.stat().st_size

    def is_final_up_to(self, end):
        assert self.ends[-1] < end <= self.size
        assert self.path.read_bytes()[:end] == self.disk[:end]
        self.ends.append(end)


class Run:
    """One decoding in a directory, with its group of threads."""

    def __init__(self, path, make_reader, *, final_parts=None, write_at=os.pwrite, fed_bytes=0, admit=lambda _: None):
        self.target, self.side = path / "raw", path / "side"
        self.group = TaskGroup("test")
        self.decoder = StreamDecoder(
            make_reader=make_reader,
            target=self.target,
            side=self.side,
            group=self.group,
            final_parts=final_parts,
            write_at=write_at,
            admit_spilled=admit,
            fed_bytes=fed_bytes,
        )

    def feed(self, image, start=0, block_bytes=BLOCK_BYTES):
        block = Block()
        for offset in range(start, len(image), block_bytes):
            piece = image[offset : offset + block_bytes]
            block.offset, block.length = offset, len(piece)
            block.view[: len(piece)] = piece
            self.decoder.append(block)
            block.view[:] = b"?" * BLOCK_BYTES  # the caller uses it again

    @contextmanager
    def ending(self):
        with self.decoder:
            try:
                yield self
            finally:
                self.decoder.abandon()
                self.group.join()
                assert not [thread for thread in threading.enumerate() if thread.name == "decoder-test"]
        open_files = {os.path.realpath(entry.path) for entry in os.scandir("/proc/self/fd")}
        assert not {os.path.realpath(self.target), os.path.realpath(self.side)} & open_files


def decode(path, reader, **options):
    with Run(path, reader.reading, **options).ending() as run:
        run.feed(reader.image)
        run.decoder.finish()
        wait(run.group)
        run.decoder.announce_complete() if options.get("final_parts") else None
    return run


def wait(group: TaskGroup) -> None:
    assert group.wait(10)


def make_plan(rng: random.Random, cluster: int, clusters: int, rest: int) -> tuple[PlanReader, bytes]:
    """Return a reader of an image with shuffled clusters of all kinds, and the disk that is in it."""
    disk_bytes = clusters * cluster + rest
    disk, pieces = bytearray(disk_bytes), []
    for index in range(clusters + bool(rest)):
        kind = rng.choice(["hole", "plain", "plain", "zero", "deflate", "late", "late deflate"])
        if kind == "hole":
            continue
        place, count = index * cluster, min(cluster, disk_bytes - index * cluster)
        data = bytes(count) if kind == "zero" else rng.randbytes(count // 2) + bytes(count - count // 2)
        disk[place : place + count] = data
        is_compressed = "deflate" in kind
        code = deflate(data.ljust(cluster, b"\0")) if is_compressed else data
        pieces.append(Piece(code, place, cluster * is_compressed, "late" in kind))
    window = rng.choice([1, 3, len(pieces) or 1])  # shuffle little, or everything
    pieces = [
        piece
        for start in range(0, len(pieces), window)
        for piece in rng.sample(pieces[start:][:window], len(pieces[start:][:window]))
    ]
    unit = min(cluster, rng.choice([512, 4096]))
    pieces.insert(0, Piece(b"header".ljust(unit, b".")))
    return PlanReader(pieces, disk_bytes, unit_bytes=unit), bytes(disk)


PLANS = {
    "clusters": st.sampled_from([512, 4096, 65536, 2 * MIB]),
    "seed": st.integers(0, 1 << 32),
    "rest": st.sampled_from([0, 512, 5120]),
}
