"""Orders: their one form as JSON."""

import json
from datetime import UTC, datetime

import pytest

from precache.core.errors import InvalidImageId, InvalidOption
from precache.core.images import parse_image_id
from precache.core.orders import ImageOrder, OrderOptions, first_orders

UNTIL = datetime(2036, 1, 1, tzinfo=UTC)
FIRST = parse_image_id("00000000-0000-0000-0000-000000000001")
SECOND = parse_image_id("00000000-0000-0000-0000-000000000002")


def test_an_order_survives_a_round_trip_through_json():
    order = ImageOrder(FIRST)

    assert ImageOrder.read(json.loads(json.dumps(order.document()))) == order


def test_fields_of_a_newer_release_are_ignored():
    assert ImageOrder.read({"image": FIRST, "colour": "red"}) == ImageOrder(FIRST)


@pytest.mark.parametrize("document", [{}, {"image": None}, {"image": 7}, {"image": "debian-12"}])
def test_an_order_without_an_image_id_is_refused(document):
    with pytest.raises(InvalidImageId):
        ImageOrder.read(document)


def test_the_first_order_of_each_image_counts():
    assert first_orders([ImageOrder(SECOND), ImageOrder(FIRST), ImageOrder(SECOND)]) == (
        ImageOrder(SECOND),
        ImageOrder(FIRST),
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rate_limit_bytes_per_s", 20_000_000),
        ("as_is", True),
        ("keep_for_s", 604_800),
        ("even_pinned", True),
        ("base", SECOND),
    ],
)
def test_an_option_survives_a_round_trip_through_json(option, value):
    order = ImageOrder(FIRST, OrderOptions(**{option: value}))

    assert order.document() == {"image": FIRST, option: value}
    assert ImageOrder.read(json.loads(json.dumps(order.document()))) == order


@pytest.mark.parametrize(
    ("options", "are_given"),
    [
        ({"rate_limit_bytes_per_s": 1}, True),
        *(({name: value}, False) for name, value in (("as_is", True), ("keep_for_s", 1), ("keep_until", UNTIL))),
        ({"base": SECOND}, False),
        ({}, False),
    ],
)
def test_options_of_a_client_are_told_from_the_mark_of_a_kernel(options, are_given):
    assert ImageOrder(FIRST, OrderOptions(**options)).has_options is are_given


def test_the_priority_of_an_image_is_written_unless_it_is_the_default():
    assert ImageOrder(FIRST, priority=80).document() == {"image": FIRST, "priority": 80}
    assert ImageOrder.read({"image": FIRST, "priority": 80}) == ImageOrder(FIRST, priority=80)
    assert ImageOrder(FIRST, priority=0).document() == {"image": FIRST}


@pytest.mark.parametrize("priority", [-1, 101, True, 50.0, "50", None])
def test_a_priority_that_none_can_be_is_refused(priority):
    with pytest.raises(InvalidOption, match="priority"):
        ImageOrder.read({"image": FIRST, "priority": priority})


@pytest.mark.parametrize("limit", [0, -1, 10**12 + 1, 2.0, "20M", True, [1]])
def test_a_rate_limit_that_none_can_be_is_refused(limit):
    with pytest.raises(InvalidOption, match="rate_limit_bytes_per_s"):
        ImageOrder.read({"image": FIRST, "rate_limit_bytes_per_s": limit})


@pytest.mark.parametrize("option", ["as_is", "even_pinned"])
@pytest.mark.parametrize("value", [1, "true", None])
def test_a_switch_must_be_true_or_false(option, value):
    with pytest.raises(InvalidOption, match=option):
        ImageOrder.read({"image": FIRST, option: value})


def test_the_end_of_a_pin_is_an_instant_and_is_written_in_utc():
    given = {"image": FIRST, "keep_until": "2036-01-01T02:00:00+02:00"}

    order = ImageOrder.read(given)

    assert order.options.keep_until == UNTIL
    assert order.document() == {"image": FIRST, "keep_until": "2036-01-01T00:00:00Z"}
    assert ImageOrder.read(order.document()) == order


@pytest.mark.parametrize("value", ["2036-01-01T00:00:00", "tomorrow", "", 7, True, [], "0001-01-01T00:00:00+23:00"])
def test_an_end_that_is_no_instant_is_refused(value):
    with pytest.raises(InvalidOption, match="keep_until must be a time with its zone"):
        ImageOrder.read({"image": FIRST, "keep_until": value})


def test_a_pin_has_one_end():
    with pytest.raises(InvalidOption, match="keep_until must be left out where keep_for_s is given"):
        OrderOptions(keep_for_s=60, keep_until=UNTIL)


@pytest.mark.parametrize("value", [0, -1, 316_224_001, 1.0, "7d", True, [1]])
def test_a_time_for_which_no_image_can_be_kept_is_refused(value):
    with pytest.raises(InvalidOption, match="keep_for_s must be a whole number from 1 to 316224000"):
        ImageOrder.read({"image": FIRST, "keep_for_s": value})
