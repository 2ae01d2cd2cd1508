"""The message `clean_cache` and its answer, as they go over the bus and come back, and those that make no sense."""

import json
from datetime import UTC, datetime

import pytest

from precache.adapters.bus_oslo.clean_messages import (
    clean_message,
    clean_result_message,
    read_clean,
    read_clean_of_host,
    read_clean_result,
)
from precache.adapters.bus_oslo.fields import Malformed
from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.images import parse_image_id

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
ENTRY = CleanedEntry("1" * 40, IMAGE, 2**40, datetime(2026, 1, 2, tzinfo=UTC), "unused for 26 h")
REQUESTS = [CleanRequest(), CleanRequest(True, everything=True), CleanRequest(keep_days=0)]


def over_the_bus(message):
    return json.loads(json.dumps(message)) | {"of_a_newer_release": 1}


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_read_as_it_was_written(request_):
    message = over_the_bus(clean_message("cmp-1", "cell1", request_))

    assert read_clean(message, "cmp-1") == request_
    assert read_clean_of_host(message) == ("cmp-1", request_)


@pytest.mark.parametrize(
    "result",
    [CleanResult(), CleanResult("lru", (ENTRY,), (CleanedEntry("x", None, 0, None, ""),)), CleanResult(refused="no")],
)
def test_a_result_is_read_as_it_was_written(result):
    assert read_clean_result(over_the_bus(clean_result_message(result))) == result


@pytest.mark.parametrize(
    "change",
    [{"host": "cmp-2"}, {"keep_days": -1}, {"keep_days": "7"}, {"dry_run": 1}, {"all": True, "keep_days": 7}],
)
def test_a_request_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_clean(clean_message("cmp-1", "cell1", CleanRequest()) | change, "cmp-1")


def test_entries_that_make_no_sense_are_dropped():
    message = clean_result_message(CleanResult("age", (ENTRY, ENTRY)))
    message["removed"][0] |= {"bytes": -1}

    assert read_clean_result(message).removed == (ENTRY,)


@pytest.mark.parametrize("change", [{"removed": None}, {"kept": 7}, {"policy": None}, {"refused": 7}])
def test_an_answer_that_makes_no_sense_is_malformed(change):
    with pytest.raises(Malformed):
        read_clean_result(clean_result_message(CleanResult()) | change)
