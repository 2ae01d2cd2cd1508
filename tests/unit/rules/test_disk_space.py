"""Space for a fetch, on numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import NotEnoughSpace
from precache.core.images import ImageId
from precache.rules.disk_space import admit, bytes_needed

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")


def test_download_and_conversion_exist_at_once():
    assert bytes_needed(3, 4) == 7


def test_an_exact_fit_is_enough():
    admit(IMAGE, 10, 10, "/cache")


def test_refusal_says_what_is_needed_what_is_free_and_where():
    with pytest.raises(NotEnoughSpace, match=r"12\.4 GB needed, 9\.1 GB free in /cache") as refusal:
        admit(IMAGE, 12_400_000_000, 9_100_000_000, "/cache")

    assert (refusal.value.needed_bytes, refusal.value.free_bytes) == (12_400_000_000, 9_100_000_000)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0.0 MB"),
        (8_400_000, "8.4 MB"),
        (999_999_999, "1000.0 MB"),
        (10**9, "1.0 GB"),
        (2**40, "1.1 TB"),
        (2**50, "1.1 PB"),
    ],
)
def test_refusal_gives_sizes_in_a_unit_in_which_they_can_be_compared(size_bytes, text):
    with pytest.raises(NotEnoughSpace, match=f": {text} needed"):
        admit(IMAGE, size_bytes, -1, "/cache")


@given(needed=st.integers(0, 2**60), free=st.integers(0, 2**60))
def test_never_admits_more_than_is_free(needed, free):
    try:
        admit(IMAGE, needed, free, "/cache")
    except NotEnoughSpace:
        assert needed > free
    else:
        assert needed <= free
