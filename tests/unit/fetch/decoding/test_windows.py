"""Windows are closed when they are full, when too many are open, or when nothing more comes for them."""

from __future__ import annotations

import pytest

from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.decoding.placements import Inflate, PlaceSpilled
from precache.fetch.decoding.windows import OpenWindows, PlaceCopy, length_of
from precache.fetch.growing_file import Abandoned

MIB = BLOCK_BYTES


@pytest.fixture
def closed():
    return []


@pytest.fixture
def windows(closed):
    return OpenWindows(closed.append, check=lambda: None)


def test_window_is_closed_when_it_is_full(windows, closed):
    for place in (512 << 10, 0, 256 << 10):
        windows.add(PlaceCopy(place, bytes(256 << 10)))
    assert (closed, windows.first_offset(MIB)) == ([], 0)

    windows.add(PlaceCopy(768 << 10, bytes(256 << 10)))

    assert [len(window.pieces) for window in closed] == [4]
    assert windows.first_offset(MIB) == MIB


def test_window_is_closed_after_a_block_that_brought_nothing_for_it(windows, closed):
    windows.add(PlaceCopy(0, b"x"))
    windows.end_block()
    windows.add(PlaceCopy(MIB, b"x"))
    assert closed == []

    windows.end_block()

    assert [window.start for window in closed] == [0]


def test_few_windows_are_open_and_the_one_that_waits_longest_is_closed_first(windows, closed):
    for number in (*range(8), 0, 8, 9):
        windows.add(PlaceCopy(number * MIB + number, b"x"))

    assert [window.start for window in closed] == [MIB, 2 * MIB]


@pytest.mark.parametrize(
    "piece", [PlaceCopy(MIB - 512, bytes(2 * MIB)), PlaceSpilled(MIB - 512, 7, 2 * MIB)], ids=["copy", "spilled"]
)
def test_plain_piece_is_cut_at_the_ends_of_windows(windows, closed, piece):
    windows.add(piece)
    windows.close_all()

    parts = sorted((window.pieces for window in closed), key=lambda pieces: pieces[0].disk_offset)
    assert [(part.disk_offset, length_of(part)) for (part,) in parts] == [
        (MIB - 512, 512),
        (MIB, MIB),
        (2 * MIB, MIB - 512),
    ]


def test_large_cluster_has_a_window_of_its_own(windows, closed):
    windows.add(Inflate(2 * MIB, 2 * MIB, 2 * MIB, b""))

    assert [(window.start, window.span_bytes) for window in closed] == [(2 * MIB, 2 * MIB)]


def test_stop_between_the_parts_of_a_piece_leaves_the_windows_as_they_are(closed):
    left = [2]

    def check():
        left[0] -= 1
        if left[0] < 0:
            raise Abandoned

    windows = OpenWindows(closed.append, check)
    windows.add(PlaceCopy(10, b"earlier"))

    with pytest.raises(Abandoned):
        windows.add(PlaceSpilled(4 * BLOCK_BYTES, 0, 5 * BLOCK_BYTES))
    windows.close_all()

    assert [window.start for window in closed] == [4 * BLOCK_BYTES, 0]
    assert closed[1].pieces == [PlaceCopy(10, b"earlier")]
