"""Orders: their one form as JSON."""

import json

import pytest

from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id
from precache.core.orders import CacheOrder, first_orders

FIRST = parse_image_id("00000000-0000-0000-0000-000000000001")
SECOND = parse_image_id("00000000-0000-0000-0000-000000000002")


def test_an_order_comes_back_from_json_as_it_was():
    order = CacheOrder(FIRST)

    assert CacheOrder.read(json.loads(json.dumps(order.document()))) == order


def test_fields_of_a_newer_release_are_ignored():
    assert CacheOrder.read({"image": FIRST, "colour": "red"}) == CacheOrder(FIRST)


@pytest.mark.parametrize("document", [{}, {"image": None}, {"image": 7}, {"image": "debian-12"}])
def test_an_order_without_an_image_id_is_refused(document):
    with pytest.raises(InvalidImageId):
        CacheOrder.read(document)


def test_the_first_order_of_each_image_counts():
    assert first_orders([CacheOrder(SECOND), CacheOrder(FIRST), CacheOrder(SECOND)]) == (
        CacheOrder(SECOND),
        CacheOrder(FIRST),
    )
