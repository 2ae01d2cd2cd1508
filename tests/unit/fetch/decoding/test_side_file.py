"""The side file returns what was written, and zeros elsewhere; its space is requested before it is needed."""

from __future__ import annotations

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


def test_space_is_counted_in_whole_pages(side):
    for offset in (0, 512, 4096, 4096 + 3584, 40_000):
        side.write(offset, memoryview(b"x" * 512))

    assert side.spilled_bytes == 3 * 4096


def test_kept_file_needs_space_for_what_is_added(tmp_path, side):
    side.write(0, memoryview(b"x" * 3 * MIB))
    side.flush()
    requested = []
    kept = SideFile(tmp_path / "side", admit=requested.append, is_kept=True)

    kept.write(3 * MIB, memoryview(b"y"))
    kept.close()

    assert requested == [4 * MIB]
