"""Whether an image fits into the free space of a disk."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import NotEnoughSpace
from precache.core.images import Image, ImageId
from precache.fetch.space import SpaceCheck

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")


def room(*, size_bytes, free_bytes, reserves_whole_disk=True):
    image = Image(id=IMAGE, name="", status="active", disk_format="raw", size_bytes=size_bytes)
    return SpaceCheck(
        image=image,
        directory=Path("/cache"),
        free_bytes=lambda _: free_bytes,
        reserves_whole_disk=reserves_whole_disk,
    )


def test_download_and_result_exist_at_once():
    room(size_bytes=3, free_bytes=7).admit(4)

    with pytest.raises(NotEnoughSpace):
        room(size_bytes=3, free_bytes=6).admit(4)


def test_an_exact_fit_is_enough():
    room(size_bytes=10, free_bytes=10).admit(0)


def test_without_a_reserve_only_the_download_must_fit():
    room(size_bytes=3, free_bytes=3, reserves_whole_disk=False).admit(4)


def test_what_has_arrived_already_needs_no_more_space():
    checked = room(size_bytes=10, free_bytes=7)

    checked.admit_result(5, arrived_bytes=8)
    with pytest.raises(NotEnoughSpace):
        checked.admit_result(5, arrived_bytes=7)


def test_refusal_says_what_is_needed_what_is_free_and_where():
    with pytest.raises(NotEnoughSpace, match=r"12\.4 GB needed, 9\.1 GB free in /cache") as refusal:
        room(size_bytes=12_400_000_000, free_bytes=9_100_000_000).admit(0)

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
        room(size_bytes=size_bytes, free_bytes=-1).admit(0)


@given(needed=st.integers(0, 2**60), free=st.integers(0, 2**60))
def test_never_admits_more_than_is_free(needed, free):
    try:
        room(size_bytes=needed, free_bytes=free).admit(0)
    except NotEnoughSpace:
        assert needed > free
    else:
        assert needed <= free
