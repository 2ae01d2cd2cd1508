"""A decoder writes exactly what the reader asks for, whatever the order, and leaves no thread when it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
import zlib
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.decoding.placements import NotStreamable, Truncated
from precache.fetch.decoding.stream_decoder import StreamDecoder
from precache.fetch.growing_file import Abandoned
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

    def __init__(self, path, reader, *, final_parts=None, write_at=os.pwrite, fed_bytes=0, admit=lambda _: None):
        def make_reader(read_spilled):
            reader.read_spilled = read_spilled
            return reader

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


def decode(path, reader, **options):
    with Run(path, reader, **options).ending() as run:
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


@given(cluster=PLANS["clusters"], seed=PLANS["seed"], rest=PLANS["rest"])
@settings(max_examples=60, deadline=None)
def test_disk_is_what_the_image_says(tmp_path_factory, cluster, seed, rest):
    rng = random.Random(seed)
    reader, disk = make_plan(rng, cluster, rng.randint(1, min(150, 6 * MIB // cluster)), min(rest, cluster - 512))
    parts = Parts(disk)

    run = decode(tmp_path_factory.mktemp("plan"), reader, final_parts=parts)

    assert run.target.read_bytes() == disk
    assert parts.ends[-1] == len(disk)
    assert run.decoder.is_complete
    assert run.decoder.arrived_bytes == len(reader.image)


@given(seed=PLANS["seed"], cluster=PLANS["clusters"], cuts=st.lists(st.floats(0, 1), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_settled_files_go_on_at_any_byte(tmp_path_factory, seed, cluster, cuts):
    def plan():
        rng = random.Random(seed)
        return make_plan(rng, cluster, rng.randint(1, min(100, 5 * MIB // cluster)), 0)

    path, (reader, disk) = tmp_path_factory.mktemp("plan"), plan()
    image, fed = reader.image, 0
    for cut in sorted(cuts):
        end = int(cut * len(image))
        with Run(path, plan()[0], fed_bytes=fed).ending() as run:
            run.feed(image[:end], fed, block_bytes=300_000)
            assert not run.decoder.is_settled or end == fed
            run.decoder.settle()
            assert run.decoder.is_settled
            assert run.decoder.arrived_bytes == end
        if not end:
            run.target.unlink()
        fed = end
    with Run(path, plan()[0], fed_bytes=fed).ending() as run:
        run.feed(image, fed)
        run.decoder.finish()

    assert run.target.read_bytes() == disk


class InterruptedReader(PlanReader):
    """Has the decoder interrupted before one of its actions."""

    def begin(self, decoder, actions):
        self._decoder, self._left = decoder, actions

    def feed(self, data):
        return self._counted(super().feed(data))

    def finish(self):
        return self._counted(super().finish())

    def _counted(self, actions):
        for action in actions:
            if not self._left:
                self._decoder.interrupt()
            self._left -= 1
            yield action


@given(seed=PLANS["seed"], cluster=PLANS["clusters"], interrupts=st.lists(st.integers(0, 120), max_size=3))
@settings(max_examples=20, deadline=None)
def test_interrupted_decoder_goes_on_before_the_block_that_was_interrupted(tmp_path_factory, seed, cluster, interrupts):
    rng = random.Random(seed)
    plan, disk = make_plan(rng, cluster, rng.randint(1, min(100, 5 * MIB // cluster)), 0)
    path, image, fed = tmp_path_factory.mktemp("plan"), plan.image, 0
    for actions in [*interrupts, -1]:
        reader = InterruptedReader(plan.pieces, plan.disk_bytes, plan.unit_bytes)
        with Run(path, reader, fed_bytes=fed).ending() as run:
            reader.begin(run.decoder, actions)
            try:
                run.feed(image, fed, block_bytes=300_000)
                run.decoder.finish()
            except Abandoned:
                run.decoder.settle()
            assert run.decoder.arrived_bytes in (*range(fed, len(image), 300_000), len(image))
        fed = run.decoder.arrived_bytes
        if run.decoder.is_complete:
            break
        if not fed:
            run.target.unlink()
            run.side.unlink(missing_ok=True)

    assert run.target.read_bytes() == disk


def test_parts_are_announced_in_order_and_the_last_one_by_the_caller(tmp_path):
    disk = random.Random(1).randbytes(8 * MIB)
    order = [0, 1, 3, 2, 4, 5, 6, 7]
    reader = PlanReader([Piece(disk[n * MIB :][:MIB], n * MIB) for n in order], len(disk), unit_bytes=4096)
    ends = []
    parts = Parts(disk)

    with Run(tmp_path, reader, final_parts=parts).ending() as run:
        for count, placed in enumerate([1, 2, 2, 4, 5, 6, 7, 8], start=1):
            reader.placed_up_to = placed * MIB
            run.feed(reader.image[: count * MIB], (count - 1) * MIB)
            ends.append(parts.ends[-1])
        run.decoder.finish()
        before_the_check = parts.ends[-1]
        run.decoder.announce_complete()

    assert ends == [MIB, 2 * MIB, 2 * MIB, 4 * MIB, 5 * MIB, 6 * MIB, 7 * MIB, 7 * MIB]
    assert before_the_check < len(disk)
    assert parts.ends[-1] == len(disk)


def test_cluster_that_waits_for_a_thread_is_not_announced(tmp_path):
    data = random.Random(2).randbytes(65536) * 16
    pieces = [Piece(deflate(data[:65536]), n * 65536, 65536) for n in range(16)]
    pieces += [Piece(data, MIB), Piece(data, 2 * MIB), Piece(data, 3 * MIB)]
    reader, parts, may_write = PlanReader(pieces, 4 * MIB, unit_bytes=4096), Parts(data * 4), threading.Event()

    def write_at(fd, view, offset):
        assert offset or may_write.wait(10)
        return os.pwrite(fd, view, offset)

    with Run(tmp_path, reader, final_parts=parts, write_at=write_at).ending() as run:
        reader.placed_up_to = 2 * MIB
        run.feed(reader.image[: 3 * MIB])
        assert parts.ends == [0]
        may_write.set()
        run.decoder.settle()
        run.feed(reader.image, 3 * MIB)
        assert parts.ends == [0, 2 * MIB]


def test_zeros_stay_holes_and_only_data_is_counted(tmp_path):
    data = bytes(MIB) + b"x" * 4096 + bytes(3 * MIB - 4096)
    pieces = [Piece(data, 0), Piece(deflate(bytes(65536)), 4 * MIB, 65536)]

    run = decode(tmp_path, PlanReader(pieces, 8 * MIB, unit_bytes=4096))

    status = run.target.stat()
    assert (status.st_size, status.st_blocks * 512) == (8 * MIB, 4096)
    assert run.decoder.written_bytes == 4096


def test_large_plain_data_is_written_from_the_block_in_one_call(tmp_path):
    disk, calls = random.Random(3).randbytes(3 * MIB), []

    def write_at(fd, view, offset):
        calls.append((offset, len(view), threading.current_thread()))
        return os.pwrite(fd, view, offset)

    decode(tmp_path, PlanReader([Piece(disk, 0)], len(disk), unit_bytes=65536), write_at=write_at)

    assert calls == [(n * MIB, MIB, threading.current_thread()) for n in range(3)]


@pytest.mark.parametrize("cluster", [512, 65536], ids=["plain", "compressed"])
def test_neighbours_are_written_together(tmp_path, cluster):
    disk, calls = random.Random(4).randbytes(2 * MIB), []
    places = range(0, len(disk), cluster)
    clusters = [(disk[place : place + cluster], place) for place in places]
    if cluster == 512:
        pieces = [Piece(data, place) for data, place in clusters]
    else:
        pieces = [Piece(deflate(data), place, cluster) for data, place in clusters]

    def write_at(fd, view, offset):
        calls.append((offset, len(view)))
        return os.pwrite(fd, view, offset)

    decode(tmp_path, PlanReader(pieces, len(disk), unit_bytes=cluster), write_at=write_at)

    assert sorted(calls) == [(0, MIB), (MIB, MIB)]


@pytest.mark.parametrize("is_compressed", [False, True])
def test_full_disk_fails_the_group(tmp_path, is_compressed):
    data = random.Random(5).randbytes(65536)
    code = deflate(data) if is_compressed else data
    reader = PlanReader([Piece(code, n * 65536, 65536 * is_compressed) for n in range(320)], 20 * MIB, unit_bytes=4096)

    def write_at(fd, view, offset):
        if offset >= 2 * MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwrite(fd, view, offset)

    with Run(tmp_path, reader, write_at=write_at).ending() as run:
        run.group.start("writer", lambda: run.feed(reader.image))
        with pytest.raises(OSError, match="No space"):
            wait(run.group)


def test_damaged_cluster_fails_the_group(tmp_path):
    reader = PlanReader([Piece(b"\xff" * 600, 0, 65536)], MIB)

    with Run(tmp_path, reader).ending() as run:
        run.feed(reader.image)
        with pytest.raises(NotStreamable, match="damaged"):
            run.decoder.finish()
        with pytest.raises(NotStreamable, match="damaged"):
            run.group.wait(10)


def test_abandoned_decoder_ends_whatever_waits(tmp_path):
    may_write, is_writing = threading.Event(), threading.Event()
    code = deflate(random.Random(6).randbytes(65536))
    reader = PlanReader([Piece(code, n * 65536, 65536) for n in range(320)], 20 * MIB)

    def write_at(fd, view, offset):
        is_writing.set()
        assert may_write.wait(10)
        return os.pwrite(fd, view, offset)

    with Run(tmp_path, reader, write_at=write_at).ending() as run:
        run.group.start("writer", lambda: run.feed(reader.image))
        assert is_writing.wait(10)
        run.decoder.abandon()
        with pytest.raises(Abandoned):
            wait(run.group)
        with pytest.raises(Abandoned):
            run.decoder.settle()
        assert not run.decoder.is_settled
        may_write.set()


def test_truncated_image_fails_at_its_end(tmp_path):
    reader = PlanReader([Piece(bytes(4096), 0)], MIB, failure=Truncated())

    with Run(tmp_path, reader).ending() as run:
        run.feed(reader.image)
        with pytest.raises(Truncated):
            run.decoder.finish()
    assert not run.decoder.is_complete


def test_refused_image_leaves_no_file(tmp_path):
    def refuse(read_spilled):
        raise NotStreamable("it is encrypted")

    with pytest.raises(NotStreamable, match="encrypted"):
        StreamDecoder(
            make_reader=refuse,
            target=tmp_path / "raw",
            side=tmp_path / "side",
            group=TaskGroup("test"),
            admit_spilled=lambda _: None,
        )

    assert list(tmp_path.iterdir()) == []


def test_file_system_that_refuses_direct_writes_gets_ordinary_ones(tmp_path):
    disk, refusals = random.Random(7).randbytes(3 * MIB), []

    def write_at(fd, view, offset):
        if not refusals:
            refusals.append(offset)
            raise OSError(errno.EINVAL, "Invalid argument")
        return os.pwrite(fd, view[:100_000], offset)

    run = decode(tmp_path, PlanReader([Piece(disk, 0)], len(disk), unit_bytes=4096), write_at=write_at)

    assert run.target.read_bytes() == disk


def test_scattered_writes_go_through_the_page_cache(tmp_path):
    places = random.Random(8).sample(range(0, 16 * MIB, 2 * 4096), 1200)
    disk, pieces, flags = bytearray(16 * MIB), [], []
    for place in places:
        disk[place : place + 4096] = place.to_bytes(4, "big") * 1024
        pieces.append(Piece(bytes(disk[place : place + 4096]), place))

    def write_at(fd, view, offset):
        flags.append(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)
        return os.pwrite(fd, view, offset)

    run = decode(tmp_path, PlanReader(pieces, len(disk), unit_bytes=4096), write_at=write_at)

    assert not flags[-1]
    assert run.target.read_bytes() == disk


def test_space_for_the_side_file_is_requested_before_it_is_used(tmp_path):
    requested = []

    def admit(total_bytes):
        assert not requested or (tmp_path / "side").stat().st_size >= 4096
        requested.append(total_bytes)
        if total_bytes > 4 * MIB:
            raise OSError(errno.ENOSPC, "refused")

    reader = PlanReader([Piece(b"x" * (8 * MIB), 0, is_late=True)], 8 * MIB)
    with Run(tmp_path, reader, admit=admit).ending() as run, pytest.raises(OSError, match="refused"):
        run.feed(reader.image)

    assert requested == [MIB, 3 * MIB, 7 * MIB]
    assert run.decoder.spilled_bytes <= 4 * MIB


def test_image_without_tables_makes_no_side_file(tmp_path):
    run = decode(tmp_path, PlanReader([Piece(b"x" * 4096, 0)], MIB))

    assert not run.side.exists()
