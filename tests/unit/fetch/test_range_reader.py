"""A growing file read from everywhere: each range exact, each wait ended by the bytes, the end or a failure."""

import random
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.fetch.arriving_file import KEPT_BLOCKS, Abandoned, ArrivingFile
from precache.fetch.blocks import BLOCK_BYTES, new_pool
from precache.fetch.range_reader import RangeReader
from precache.fetch.sparse_file import SparseFile

BLOCKS = 2 * KEPT_BLOCKS
SIZE = BLOCKS * BLOCK_BYTES - 12_345
RANGES = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.sampled_from([1, 512, 30_000, 65_536, 100_001, 3 << 20])), max_size=8
)


def content():
    rng = random.Random(7)
    data = bytearray(rng.randbytes(SIZE))
    data[3 * BLOCK_BYTES : 5 * BLOCK_BYTES] = bytes(2 * BLOCK_BYTES)
    return bytes(data)


@pytest.fixture
def arriving(tmp_path):
    with SparseFile(tmp_path / "download") as file:
        free = new_pool(KEPT_BLOCKS + 2)
        yield ArrivingFile(file=file, size_bytes=SIZE, free=free)


@pytest.fixture(scope="module")
def arrived(tmp_path_factory):
    """A file that is complete: its beginning is on disk only, its end in memory too."""
    with SparseFile(tmp_path_factory.mktemp("arrived") / "download") as file:
        free = new_pool(KEPT_BLOCKS + 2)
        arriving, data = ArrivingFile(file=file, size_bytes=SIZE, free=free), content()
        for offset in range(0, SIZE, BLOCK_BYTES):
            append(arriving, free, data, offset)
        arriving.finish()
        yield arriving, data


def append(arriving, free, data, offset):
    piece = data[offset : offset + BLOCK_BYTES]
    block = free.get()
    block.offset, block.length = offset, len(piece)
    block.view[: len(piece)] = piece
    arriving.append(block)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ranges=RANGES)
def test_every_range_is_exact_wherever_it_lies(arrived, ranges):
    arriving, data = arrived

    with RangeReader(arriving) as reader:
        for offset, length in ranges:
            length = min(length, SIZE - offset)
            assert b"".join(bytes(piece) for piece in reader.pieces(offset, length)) == data[offset : offset + length]


def test_what_lies_behind_the_end_is_zero(arrived):
    arriving, data = arrived

    with RangeReader(arriving) as reader:
        assert b"".join(bytes(piece) for piece in reader.pieces(SIZE - 3, 10)) == data[-3:] + bytes(7)


def test_whole_content_comes_in_chunks(arrived):
    arriving, data = arrived

    assert b"".join(arriving.chunks(1_000_000)) == data


def test_read_waits_for_its_bytes(arriving, tmp_path):
    data, got = content(), []

    def read():
        with RangeReader(arriving) as reader:
            got.extend(bytes(piece) for piece in reader.pieces(BLOCK_BYTES, 100))

    waiting = threading.Thread(target=read)
    waiting.start()
    free = new_pool(2)
    append(arriving, free, data, 0)
    append(arriving, free, data, BLOCK_BYTES)
    waiting.join(10)

    assert got == [data[BLOCK_BYTES : BLOCK_BYTES + 100]]


@pytest.mark.parametrize("wait", ["wait_for_end", "wait_for_first_byte", "wait_for_size"])
def test_abandoning_ends_every_wait(tmp_path, wait):
    with SparseFile(tmp_path / "unknown") as file:
        arriving = ArrivingFile(file=file, size_bytes=None, free=new_pool(0))
        ended = []

        def stay():
            try:
                arriving.wait_for(1) if wait == "wait_for_first_byte" else getattr(arriving, wait)()
            except Abandoned:
                ended.append(wait)

        waiting = threading.Thread(target=stay)
        waiting.start()
        arriving.abandon()
        waiting.join(10)

    assert ended == [wait]
