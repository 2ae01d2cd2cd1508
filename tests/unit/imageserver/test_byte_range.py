"""Which part of the data a Range header names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.imageserver.image_data import ByteRange, Unsatisfiable, requested_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-99", ByteRange(0, 99)),
        ("bytes=10-10", ByteRange(10, 10)),
        ("bytes=90-", ByteRange(90, 99)),
        ("bytes=90-1000", ByteRange(90, 99)),
        ("bytes=-5", ByteRange(95, 99)),
        ("bytes=-1000", ByteRange(0, 99)),
        ("Bytes = 5 - 6", ByteRange(5, 6)),
    ],
)
def test_a_range_is_cut_at_the_end(header, expected):
    assert requested_range(header, 100) == expected


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "bytes=0-1,4-5", "pages=1-2", "bytes=٣-٤"]
)
def test_what_is_no_single_range_asks_for_everything(header):
    assert requested_range(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        requested_range(header, 100)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.none() | st.integers(0, 10**6))
def test_what_is_given_lies_within_the_data_and_begins_where_asked(size, first, last):
    header = f"bytes={first}-{'' if last is None else last}"
    try:
        found = requested_range(header, size)
    except Unsatisfiable:
        assert first >= size
        return

    assert (found is None) == (last is not None and last < first)
    if found is not None:
        assert found.first == first
        assert found.first <= found.last < size
        assert found.length == found.last - found.first + 1
