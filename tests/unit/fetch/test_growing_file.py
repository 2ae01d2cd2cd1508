"""A file read while it grows: exact content, and every wait ended by the bytes, the end or a failure."""

import os
import random
import threading

import pytest

from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.growing_file import Abandoned, GrowingFile
from precache.fetch.sparse_file import SparseFile

SIZE = 4 * BLOCK_BYTES - 12_345


@pytest.fixture(scope="module")
def content():
    data = bytearray(random.Random(7).randbytes(SIZE))
    data[2 * BLOCK_BYTES :] = bytes(SIZE - 2 * BLOCK_BYTES)
    return bytes(data)


@pytest.fixture(params=[True, False], ids=["direct", "cached"])
def arriving(tmp_path, request):
    with SparseFile(tmp_path / "download", direct=request.param) as file:
        yield GrowingFile(file=file, size_bytes=None)


def append(arriving, data, offset):
    block = Block()
    piece = data[offset : offset + BLOCK_BYTES]
    block.offset, block.length = offset, len(piece)
    block.view[: len(piece)] = piece
    arriving.append(block)


def append_all(arriving, data):
    for offset in range(0, len(data), BLOCK_BYTES):
        append(arriving, data, offset)


@pytest.mark.parametrize("chunk_bytes", [100_001, 1 << 18, SIZE + 1])
def test_whole_content_comes_in_chunks(arriving, content, chunk_bytes):
    append_all(arriving, content)
    arriving.finish()

    assert b"".join(arriving.chunks(chunk_bytes)) == content


def test_content_is_exact_before_the_end_is_known(arriving, content):
    append_all(arriving, content)
    chunks = arriving.chunks(SIZE)

    assert next(chunks) == content
    chunks.close()


def test_readers_see_what_is_written_while_they_read(arriving, content):
    fd = arriving.open_reader()
    for offset in range(0, SIZE, BLOCK_BYTES):
        append(arriving, content, offset)
        expected = content[offset : offset + BLOCK_BYTES]
        assert os.pread(fd, len(expected), offset).ljust(len(expected), b"\0") == expected
    os.close(fd)


def test_read_waits_for_its_bytes(arriving, content):
    got = []
    waiting = threading.Thread(target=lambda: got.append(arriving.wait_for(BLOCK_BYTES + 1)))
    waiting.start()

    append(arriving, content, 0)
    append(arriving, content, BLOCK_BYTES)
    waiting.join(10)

    assert got == [2 * BLOCK_BYTES]


def test_read_behind_the_end_gets_what_there_is(arriving, content):
    append(arriving, content[:10], 0)
    arriving.finish()

    assert arriving.wait_for(1000) == 10
    assert arriving.wait_for_size() == 10


@pytest.mark.parametrize("wait", ["wait_for_end", "wait_for_first_byte", "wait_for_size"])
def test_abandoning_ends_every_wait(arriving, wait):
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
