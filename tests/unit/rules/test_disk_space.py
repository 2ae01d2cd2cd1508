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


@given(needed=st.integers(0, 2**60), free=st.integers(0, 2**60))
def test_never_admits_more_than_is_free(needed, free):
    try:
        admit(IMAGE, needed, free, "/cache")
    except NotEnoughSpace:
        assert needed > free
    else:
        assert needed <= free
