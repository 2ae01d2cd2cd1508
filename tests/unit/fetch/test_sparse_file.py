"""Sparse writing: the content is exact whatever the zeros, and zeros take no space."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.fetch.blocks import ALIGNMENT_BYTES, BLOCK_BYTES, Block
from precache.fetch.sparse_file import SparseFile, flush, truncate_to

RUNS = st.lists(
    st.tuples(st.sampled_from([b"\0", b"x"]), st.integers(1, 3 * ALIGNMENT_BYTES)), min_size=1, max_size=12
).map(lambda runs: b"".join(byte * count for byte, count in runs))


def write(path, data, *, direct=True, **parts):
    with SparseFile(path, direct=direct, **parts) as file:
        block = Block()
        for offset in range(0, len(data), BLOCK_BYTES):
            piece = data[offset : offset + BLOCK_BYTES]
            block.offset, block.length = offset, len(piece)
            block.view[: len(piece)] = piece
            file.write(block)
        file.finish(len(data))
        file.flush()


@given(data=RUNS, lead=st.integers(0, 3).map(lambda n: n * BLOCK_BYTES // 2), direct=st.booleans())
@settings(max_examples=60, deadline=None)
def test_content_is_exact_whatever_the_zero_runs(tmp_path_factory, data, lead, direct):
    path = tmp_path_factory.mktemp("sparse") / "file"
    content = bytes(lead) + data

    write(path, content, direct=direct)

    assert path.read_bytes() == content


def test_zero_runs_are_never_written(tmp_path):
    written = []

    def write_at(fd, view, offset):
        written.append((offset, len(view)))
        return os.pwrite(fd, view, offset)

    data = bytearray(5 * BLOCK_BYTES)
    data[BLOCK_BYTES + 4096 : BLOCK_BYTES + 3 * 4096] = b"x" * 8192
    data[4 * BLOCK_BYTES - 1] = 1
    write(tmp_path / "file", bytes(data), write_at=write_at)

    assert written == [(BLOCK_BYTES + 4096, 8192), (4 * BLOCK_BYTES - 4096, 4096)]


def test_zeros_take_no_space_on_disk(tmp_path):
    write(tmp_path / "file", b"x" * 4096 + bytes(64 * BLOCK_BYTES))

    status = (tmp_path / "file").stat()
    assert status.st_size == 4096 + 64 * BLOCK_BYTES
    assert status.st_blocks * 512 < BLOCK_BYTES


def test_short_writes_continue_where_they_ended(tmp_path):
    data = os.urandom(3 * 4096)

    write(tmp_path / "file", data, write_at=lambda fd, view, offset: os.pwrite(fd, view[:4096], offset))

    assert (tmp_path / "file").read_bytes() == data


def test_file_system_that_refuses_direct_writes_gets_ordinary_ones(tmp_path):
    refusals = []

    def write_at(fd, view, offset):
        if not refusals:
            refusals.append(offset)
            raise OSError(22, "Invalid argument")
        return os.pwrite(fd, view[:100], offset)

    data = os.urandom(1000)
    write(tmp_path / "file", data, write_at=write_at)

    assert (tmp_path / "file").read_bytes() == data


def test_a_file_that_exists_is_never_written_to(tmp_path):
    (tmp_path / "file").write_bytes(b"somebody else's")

    with pytest.raises(FileExistsError):
        SparseFile(tmp_path / "file", direct=True)


def test_flush_works_on_a_file_that_another_wrote(tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    flush(tmp_path / "file")


def test_file_that_a_link_names_is_not_cut(tmp_path):
    (tmp_path / "other").write_bytes(b"long")
    (tmp_path / "link").symlink_to("other")

    with pytest.raises(OSError, match="symbolic links"):
        truncate_to(tmp_path / "link", 1)

    assert (tmp_path / "other").read_bytes() == b"long"
