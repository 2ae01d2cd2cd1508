"""Names must be the ones that Nova computes, or it would download what we have cached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import ImageId, parse_image_id
from precache.imagecache.names import entry_name, overlays_name, parse_temporary, temporary_name
from precache.rules.expiry import shape_of

TOKENS = st.text(alphabet="0123456789abcdef", min_size=1, max_size=8)


def test_names_agree_with_the_test_vector_of_nova() -> None:
    image = ImageId("fd0cb2f1-8375-44c9-b1f4-3e1f4c4a8ef0")

    assert entry_name(image) == "0d5e6b61602d758984b3bf038267614d6016eb2a"


def test_an_upper_case_id_gives_the_name_of_the_lower_case_one() -> None:
    image = parse_image_id("155D900F-4E14-4E4C-A73D-069CBF4541E6")

    assert entry_name(image) == "f2d1a8250ed3d4b744a8250dab8f6840179d502a"


@given(image=st.uuids().map(lambda uuid: ImageId(str(uuid))), token=TOKENS)
def test_no_cleaner_takes_a_temporary_name_for_an_entry(image: ImageId, token: str) -> None:
    name = temporary_name(entry_name(image), token, "download")

    assert shape_of(name) is None
    assert parse_temporary(name) == (entry_name(image), token)


def test_the_list_of_overlays_is_neither_an_entry_nor_temporary() -> None:
    name = overlays_name("f2d1a8250ed3d4b744a8250dab8f6840179d502a")

    assert shape_of(name) is None
    assert parse_temporary(name) is None


def test_an_unknown_name_belongs_to_no_entry() -> None:
    names = [
        "f2d1a8250ed3d4b744a8250dab8f6840179d502a",
        "f2d1a8250ed3d4b744a8250dab8f6840179d502a.part",
        "x.precache-1",
    ]

    assert [parse_temporary(name) for name in names] == [None, None, None]
