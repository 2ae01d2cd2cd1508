"""The message `describe_cache` and its answer, as they go over the bus and come back, and those that make no sense."""

import json

import pytest

from precache.adapters.bus_oslo.contents_messages import (
    contents_message,
    describe_message,
    read_contents,
    read_describe,
)
from precache.adapters.bus_oslo.fields import Malformed
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.images import parse_image_id

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
OTHER = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
SIZES = (ImageSize(IMAGE, 100, 700, "qcow2"), ImageSize(IMAGE))


def over_the_bus(message):
    return json.loads(json.dumps(message)) | {"of_a_newer_release": 1}


def test_the_images_are_read_as_they_were_written():
    assert read_describe(over_the_bus(describe_message("cmp-1", "cell1", SIZES)), "cmp-1") == SIZES


@pytest.mark.parametrize(
    "contents",
    [
        CacheContents(),
        CacheContents(frozenset({IMAGE}), 0, 2**63 - 1),
        CacheContents(frozenset(), 700, 800, promised_bytes=90, reserve_bytes=11),
        CacheContents(frozenset({IMAGE, OTHER}), held_bytes={OTHER: 2**46}),
        CacheContents(unsupported="no cache"),
    ],
)
def test_the_contents_are_read_as_they_were_written(contents):
    assert read_contents(over_the_bus(contents_message(contents))) == contents


def test_a_host_of_an_earlier_release_promises_and_reserves_nothing():
    answer = {"held": [IMAGE], "needed_bytes": 7, "free_bytes": 7, "unsupported": ""}

    assert read_contents(answer) == CacheContents(frozenset({IMAGE}), needed_bytes=7, free_bytes=7)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "cmp-2"},
        {"images": None},
        {"images": ["155d900f-4e14-4e4c-a73d-069cbf4541e6"]},
        {"images": [{"image": "debian"}]},
        {"images": [{"image": IMAGE, "size_bytes": -1}]},
        {"images": [{"image": IMAGE, "virtual_size_bytes": "big"}]},
        {"images": [{"image": IMAGE, "disk_format": 7}]},
        {"images": [{"image": IMAGE}] * 10_001},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_describe(describe_message("cmp-1", "cell1", SIZES) | change, "cmp-1")


@pytest.mark.parametrize(
    "change",
    [
        {"held": None},
        {"held": ["debian"]},
        {"held": [IMAGE], "held_bytes": [1, 2]},
        {"held": [IMAGE], "held_bytes": [-1]},
        {"held": [IMAGE], "held_bytes": ["1"]},
        {"held_bytes": 7},
        {"free_bytes": 1.5},
        {"needed_bytes": True},
        {"promised_bytes": -1},
        {"unsupported": 7},
    ],
)
def test_an_answer_that_makes_no_sense_is_malformed(change):
    with pytest.raises(Malformed):
        read_contents(contents_message(CacheContents()) | change)
