"""The space that fetches need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.space import FileSizes, space_needed, space_needed_for_all

AMOUNTS = st.integers(0, 1 << 50)
SIZES = st.builds(FileSizes, AMOUNTS, AMOUNTS, st.booleans(), AMOUNTS)


@pytest.mark.parametrize(
    ("reserves", "images", "needed"),
    [
        (True, [], 0),
        (True, [FileSizes(100)], 100),
        (True, [FileSizes(100, 700)], 800),
        (False, [FileSizes(100, 700)], 100),
        # The download of the first is removed before the second begins.
        (True, [FileSizes(100, 700), FileSizes(50)], 800),
        (True, [FileSizes(100, 700), FileSizes(150)], 850),
        (True, [FileSizes(50), FileSizes(100, 700)], 850),
        (True, [FileSizes(50), FileSizes(60)], 110),
        (False, [FileSizes(100, 700), FileSizes(50)], 150),
        # What is kept of one image makes no room for another one.
        (True, [FileSizes(100, 700, kept_bytes=100)], 700),
        (True, [FileSizes(100, 700), FileSizes(50, kept_bytes=50)], 800),
        (True, [FileSizes(50, kept_bytes=50), FileSizes(100, 700)], 800),
        (False, [FileSizes(100, 700, is_streamed=True, kept_bytes=300), FileSizes(150)], 150),
    ],
)
def test_each_fetch_needs_its_space_beside_the_files_that_stay(reserves, images, needed):
    assert space_needed_for_all(images, reserves_whole_disk=reserves) == needed


@given(st.lists(SIZES, min_size=1, max_size=6), st.booleans())
def test_all_images_need_at_least_what_each_needs_and_at_most_all_files(images, reserves):
    each = [space_needed(sizes, reserves_whole_disk=reserves) for sizes in images]

    assert max(each) <= space_needed_for_all(images, reserves_whole_disk=reserves) <= sum(each)
