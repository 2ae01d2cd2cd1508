"""A decoder writes exactly what the reader asks for, whatever the order."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading

import pytest
from hypothesis import given, settings

from tests.unit.fetch.decoding.decoding_run import MIB, PLANS, Parts, Run, decode, deflate, make_plan
from tests.unit.fetch.decoding.plan_reader import Piece, PlanReader


@given(cluster=PLANS["clusters"], seed=PLANS["seed"], rest=PLANS["rest"])
@settings(max_examples=20, deadline=None)
def test_disk_is_what_the_image_says(tmp_path_factory, cluster, seed, rest):
    rng = random.Random(seed)
    reader, disk = make_plan(rng, cluster, rng.randint(1, min(150, 6 * MIB // cluster)), min(rest, cluster - 512))
    parts = Parts(disk)

    run = decode(tmp_path_factory.mktemp("plan"), reader, final_parts=parts)

    assert run.target.read_bytes() == disk
    assert parts.ends[-1] == len(disk)
    assert run.decoder.is_complete
    assert run.decoder.arrived_bytes == len(reader.image)


def test_parts_are_announced_in_order_and_the_last_one_by_the_caller(tmp_path):
    disk = random.Random(1).randbytes(8 * MIB)
    order = [0, 1, 3, 2, 4, 5, 6, 7]
    reader = PlanReader([Piece(disk[n * MIB :][:MIB], n * MIB) for n in order], len(disk), unit_bytes=4096)
    ends = []
    parts = Parts(disk)

    with Run(tmp_path, reader.reading, final_parts=parts).ending() as run:
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

    with Run(tmp_path, reader.reading, final_parts=parts, write_at=write_at).ending() as run:
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
    with Run(tmp_path, reader.reading, admit=admit).ending() as run, pytest.raises(OSError, match="refused"):
        run.feed(reader.image)

    assert requested == [MIB, 3 * MIB, 7 * MIB]
    assert run.decoder.spilled_bytes <= 4 * MIB


def test_image_without_tables_makes_no_side_file(tmp_path):
    run = decode(tmp_path, PlanReader([Piece(b"x" * 4096, 0)], MIB))

    assert not run.side.exists()
