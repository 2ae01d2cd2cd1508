"""The side file returns what was written, and zeros elsewhere; its space is requested before it is needed."""

from __future__ import annotations

import errno
import os

import pytest

from precache.fetch.decoding.side_file import SideFile

MIB = 1 << 20


@pytest.fixture
def side(tmp_path):
    file = SideFile(tmp_path / "side")
    yield file
    file.close()


@pytest.mark.parametrize("written", [False, True])
def test_what_was_not_written_is_zero(side, written):
    if written:
        side.write(10, memoryview(b"abc"))
    view = memoryview(bytearray(b"?" * 20))

    side.read_into(view, 4)

    assert side.read(4, 20) == bytes(view) == (b"\0" * 6 + b"abc" if written else b"").ljust(20, b"\0")


def test_bad_sector_is_an_error_and_no_zeros(tmp_path):
    def read_at(fd, views, offset):
        """Return what comes before the bad sector, as the kernel does; only the next read fails."""
        if offset >= 4096:
            raise OSError(errno.EIO, "Input/output error")
        return os.preadv(fd, [views[0][: 4096 - offset]], offset)

    side = SideFile(tmp_path / "side", read_at=read_at)
    side.write(0, memoryview(b"x" * 8192))

    with pytest.raises(OSError, match="Input/output"):
        side.read(4000, 1000)
    with pytest.raises(OSError, match="Input/output"):
        side.read_into(memoryview(bytearray(1000)), 4000)
    side.close()


def test_reads_that_end_early_go_on(tmp_path):
    side = SideFile(tmp_path / "side", read_at=lambda fd, views, offset: os.preadv(fd, [views[0][:3]], offset))
    side.write(0, memoryview(b"0123456789"))

    assert side.read(1, 12) == b"123456789".ljust(12, b"\0")
    side.close()


def test_space_is_counted_in_whole_pages(side):
    for offset in (0, 512, 4096, 4096 + 3584, 40_000):
        side.write(offset, memoryview(b"x" * 512))

    assert side.spilled_bytes == 3 * 4096


@pytest.mark.parametrize(("kept_bytes", "expected"), [(3 * MIB, [4 * MIB]), (MIB // 2, [])])
def test_kept_file_needs_space_for_what_is_added_to_more_than_the_first_step(tmp_path, side, kept_bytes, expected):
    side.write(0, memoryview(b"x" * kept_bytes))
    side.flush()
    requested = []
    kept = SideFile(tmp_path / "side", admit=requested.append, is_kept=True)

    kept.write(kept_bytes, memoryview(b"y"))
    kept.close()

    assert requested == expected
