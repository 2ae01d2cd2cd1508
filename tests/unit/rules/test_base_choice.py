"""Which older image is the base of a new one."""

from datetime import UTC, datetime

import pytest

from precache.core.images import ImageId
from precache.rules.base_choice import Lineage, bases_of


def of(image: str, day: int = 1, **fields) -> Lineage:
    return Lineage(
        **{"image": ImageId(image), "format": "raw", "cached_at": datetime(2026, 1, day, tzinfo=UTC)} | fields
    )


NEW = of("new", name="debian-12", family="debian")


@pytest.mark.parametrize(
    ("cached", "named", "expected"),
    [
        ([of("a", name="debian-12"), of("b", name="ubuntu")], None, ["a"]),
        ([of(image, day, name="debian-12") for image, day in (("a", 1), ("b", 3), ("c", 2))], None, ["b", "c", "a"]),
        ([of("a", 9, name="debian-12"), of("b", 1, name="debian-11", family="debian")], None, ["b", "a"]),
        ([of("a", family="debian"), of("b", name="other")], "b", ["b", "a"]),
        ([of("a", name="debian-12")], "absent", ["a"]),
        ([of("new", name="debian-12")], None, []),
        ([of("a", name="debian-12", format="qcow2"), of("b", format="qcow2")], "b", []),
        ([of("a", name="debian-12", is_corrupt=True)], "a", []),
        ([of("a", name="debian-12", cached_at=None), of("b", name="debian-12")], None, ["b", "a"]),
    ],
)  # fmt: skip
def test_the_named_image_comes_first_then_the_family_then_the_name_and_the_newest(cached, named, expected):
    assert [each.image for each in bases_of(NEW, cached, named)] == expected


def test_an_image_without_name_and_family_has_no_lineage():
    assert bases_of(of("new"), [of("a"), of("b", name="x", family="y")]) == []
