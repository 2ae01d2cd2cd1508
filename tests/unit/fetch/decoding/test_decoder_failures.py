"""Whatever fails fails the group of threads, and leaves no thread."""

from __future__ import annotations

import errno
import os
import random
import threading

import pytest

from precache.background.task_group import TaskGroup
from precache.fetch.decoding.placements import NotStreamable, Truncated
from precache.fetch.decoding.stream_decoder import StreamDecoder
from precache.fetch.growing_file import Abandoned
from tests.unit.fetch.decoding.decoding_run import MIB, Parts, Run, decode, deflate, wait
from tests.unit.fetch.decoding.plan_reader import Piece, PlanReader


@pytest.mark.parametrize("is_compressed", [False, True])
def test_full_disk_fails_the_group(tmp_path, is_compressed):
    data = random.Random(5).randbytes(65536)
    code = deflate(data) if is_compressed else data
    reader = PlanReader([Piece(code, n * 65536, 65536 * is_compressed) for n in range(320)], 20 * MIB, unit_bytes=4096)

    def write_at(fd, view, offset):
        if offset >= 2 * MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwrite(fd, view, offset)

    with Run(tmp_path, reader.reading, write_at=write_at).ending() as run:
        run.group.start("writer", lambda: run.feed(reader.image))
        with pytest.raises(OSError, match="No space"):
            wait(run.group)


def test_damaged_cluster_fails_the_group(tmp_path):
    reader = PlanReader([Piece(b"\xff" * 600, 0, 65536)], MIB)

    with Run(tmp_path, reader.reading).ending() as run:
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

    with Run(tmp_path, reader.reading, write_at=write_at).ending() as run:
        run.group.start("writer", lambda: run.feed(reader.image))
        assert is_writing.wait(10)
        run.decoder.abandon()
        with pytest.raises(Abandoned):
            wait(run.group)
        with pytest.raises(Abandoned):
            run.decoder.settle()
        assert not run.decoder.is_settled
        may_write.set()


@pytest.mark.parametrize(("abandoned_at", "ends"), [(0, [0]), (MIB, [0, MIB])])
def test_decoder_that_is_abandoned_in_a_block_does_nothing_more(tmp_path, abandoned_at, ends):
    """A slow write may end when the next attempt has begun, which has files and announcements of its own."""
    disk = random.Random(9).randbytes(2 * MIB)
    pieces = [Piece(disk[:MIB], 0), Piece(disk[MIB:][: MIB // 2], MIB), Piece(b"a table".ljust(4096, b"."))]
    reader, parts = PlanReader(pieces, 2 * MIB, unit_bytes=4096, placed_up_to=MIB), Parts(disk)

    def write_at(fd, view, offset):
        if offset == abandoned_at:
            run.decoder.abandon()
        return os.pwrite(fd, view, offset)

    run = Run(tmp_path, reader.reading, final_parts=parts, write_at=write_at)
    with run.ending(), pytest.raises(Abandoned):
        run.feed(reader.image)

    assert parts.ends == ends
    assert not run.side.exists()


def test_windows_that_wait_for_a_thread_are_few(tmp_path):
    may_write, code = threading.Event(), deflate(random.Random(6).randbytes(65536))
    reader = PlanReader([Piece(code, n * 65536, 65536) for n in range(320)], 20 * MIB)

    def write_at(fd, view, offset):
        assert may_write.wait(10)
        return os.pwrite(fd, view, offset)

    with Run(tmp_path, reader.reading, write_at=write_at).ending() as run:
        run.group.start("writer", lambda: run.feed(reader.image))
        while run.decoder.arrived_bytes < 5 * MIB:
            assert not run.group.wait(0.01)
        assert not run.group.wait(0.1)
        assert run.decoder.arrived_bytes < 8 * MIB
        may_write.set()


def test_decoder_that_could_not_settle_never_does(tmp_path):
    def refuse(total_bytes):
        raise OSError(errno.ENOSPC, "refused")

    reader = PlanReader([Piece(deflate(bytes(65536)), 0, 65536), Piece(b"the rest")], MIB)

    with Run(tmp_path, reader.reading, admit=refuse).ending() as run:
        run.feed(reader.image[:20])
        with pytest.raises(OSError, match="refused"):
            run.decoder.settle()
        with pytest.raises(Abandoned):
            run.decoder.settle()
        assert not run.decoder.is_settled


def test_truncated_image_fails_at_its_end(tmp_path):
    reader = PlanReader([Piece(bytes(4096), 0)], MIB, failure=Truncated())

    with Run(tmp_path, reader.reading).ending() as run:
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


def test_file_system_that_refuses_direct_writes_gets_ordinary_ones_and_may_write_less(tmp_path):
    disk, refusals = random.Random(7).randbytes(3 * MIB), []

    def write_at(fd, view, offset):
        if not refusals:
            refusals.append(offset)
            raise OSError(errno.EINVAL, "Invalid argument")
        return os.pwrite(fd, view[:100_000], offset)

    pieces = [Piece(disk[: 2 * MIB], 0), Piece(disk[2 * MIB :], 2 * MIB, is_late=True)]
    run = decode(tmp_path, PlanReader(pieces, len(disk), unit_bytes=4096), write_at=write_at)

    assert refusals
    assert run.target.read_bytes() == disk
