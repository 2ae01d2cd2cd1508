"""Messages as they go over the bus and come back, and those that make no sense."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import (
    heartbeats_message,
    progress_message,
    read_heartbeats,
    read_operation,
    read_progress,
    read_reason,
    read_request,
    read_results,
    request_message,
    results_message,
)
from precache.adapters.bus_oslo.steering_messages import (
    cancel_message,
    limit_message,
    pause_message,
    read_cancel,
    read_limit,
    read_pause,
)
from precache.core.bytes_from import BytesFrom
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, Phase, TaskPaused, TaskProgress, TaskResult
from precache.core.names import is_name
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.ports.compute_gateway import CallNumber, ImagesRequest

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))
CALL = CallNumber("c3d1", 41)
RATES = {IMAGE: 10**6, parse_image_id("00000000-0000-0000-0000-000000000001"): None}
BEAT = Heartbeat("cmp-1", "cell1", "libvirt", NOW, "1.0")
PROGRESS = TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 5, 10, "cell1")
BY_SWARM = replace(PROGRESS, parent="cmp-2", bytes_from=BytesFrom(hosts=5))
RESULTS = [
    TaskResult(IMAGE, Outcome.CACHED, 7, "", NOW, NOW),
    TaskResult(IMAGE, Outcome.ERROR, 0, "no space on \N{SNOWMAN}"),
    TaskResult(IMAGE, Outcome.CANCELLED, 5),
    TaskResult(IMAGE, Outcome.CACHED, 7, bytes_from=BytesFrom(image_service=1, hosts=2, cache=4)),
    TaskResult(IMAGE, Outcome.CACHED, 7, decoded_by="qemu-img (it is encrypted)"),
    *(TaskResult(IMAGE, Outcome(word), 0, "why") for word in ("intact", "corrupt", "unverifiable", "purged", "absent")),
    *(TaskResult(IMAGE, outcome) for outcome in (Outcome.IN_USE, Outcome.PINNED, Outcome.UNPINNED)),
    TaskPaused(IMAGE, 2**40),
]


def over_the_bus(message):
    return json.loads(json.dumps(message))


def newer(message):
    """The same message of a newer release, with a field that we do not know."""
    return {**message, "colour": 3}


def _newer_request():
    message = request_message(REQUEST, 1.5)
    return newer(message | {"orders": [newer(order) for order in message["orders"]]})


def test_every_message_is_read_as_it_was_written():
    assert read_request(over_the_bus(request_message(REQUEST, 1.5)), "cmp-1") == (REQUEST, 1.5)
    for change in ({"is_cancelled": True}, {"is_paused": True}, {"retry_count": 3}, {"priority": 0}, {"priority": 100}):
        request = replace(REQUEST, **change)
        assert read_request(over_the_bus(request_message(request, 1.5)), "cmp-1") == (request, 1.5)
    assert read_request(over_the_bus(request_message(replace(REQUEST, call=CALL), 1.5)), "cmp-1")[0].call == CALL
    for retry_count in (0, 7):
        cancel = cancel_message("job", "cmp-1", "cell1", retry_count)
        pause = pause_message("job", "cmp-1", "cell1", retry_count, CALL)
        assert read_cancel(over_the_bus(cancel), "cmp-1") == ("job", retry_count)
        assert read_pause(over_the_bus(pause), "cmp-1") == ("job", retry_count, CALL)
    limit = limit_message("job", "cmp-1", "cell1", RATES, CALL)
    assert read_limit(over_the_bus(limit), "cmp-1") == ("job", RATES, CALL)
    assert read_results(over_the_bus(results_message(RESULTS))) == RESULTS
    assert read_heartbeats(over_the_bus(heartbeats_message([BEAT], "1.0")), "cell1", NOW) == [BEAT]
    assert read_progress(over_the_bus(progress_message([PROGRESS, BY_SWARM])), "cell1") == [PROGRESS, BY_SWARM]


@pytest.mark.parametrize(
    ("allowed", "left_s"),
    [
        (1764.0, 1764),
        (None, math.inf),
        ("soon", math.inf),
        (-1, -1),
        (10**400, math.inf),
    ],
)
def test_time_that_a_host_may_take_is_counted_from_when_it_has_the_message(allowed, left_s):
    message = over_the_bus(request_message(REQUEST, 1.5, 3.0)) | {"allowed_seconds": allowed}

    before = time.monotonic()
    request, _ = read_request(message, "cmp-1")

    # No clock is passed in here: between `before` and now some of it may have gone.
    assert left_s - (time.monotonic() - before) <= request.deadline.left_s + 0.001 <= left_s + 0.001
    assert request.deadline.has_passed == (left_s < 0)


@pytest.mark.parametrize("operation", [each for each in Operation if each is not Operation.CACHE])
def test_the_operation_is_read_as_it_was_written(operation):
    request = replace(REQUEST, operation=operation, orders=(ImageOrder(IMAGE, OrderOptions(even_pinned=True)),))
    message = over_the_bus(request_message(request, 1.5))

    assert read_request(message, "cmp-1", read_operation(message)) == (request, 1.5)


@pytest.mark.parametrize("word", ["", "erase", None, 7])
def test_an_unknown_operation_is_refused(word):
    with pytest.raises(Malformed, match="operation"):
        read_operation({"operation": word})


CACHE_OF_1_3 = {
    "job_id": "job", "host": "cmp-1", "cell": "cell1", "images": [IMAGE],
    "orders": [{"image": IMAGE, "rate_limit_bytes_per_s": 20000000, "as_is": True, "keep_for_s": 604800}],
    "expires_at": 1.5, "allowed_seconds": 1620.0, "extends": True, "retry_count": 2, "priority": 80,
    "sender": "5b1e0f9c", "number": 811,
}  # fmt: skip
"""As a conductor of version 1.3 sends it."""


def test_a_conductor_of_version_1_3_is_understood_and_asked_for_nothing_new():
    options = OrderOptions(rate_limit_bytes_per_s=20_000_000, as_is=True, keep_for_s=604_800)
    expected = replace(REQUEST, orders=(ImageOrder(IMAGE, options),), retry_count=2, priority=80)

    request, _ = read_request(CACHE_OF_1_3, "cmp-1")

    assert request == expected
    sent = request_message(replace(request, call=CallNumber("5b1e0f9c", 811)), 1.5, 1620.0)
    assert sent == CACHE_OF_1_3


def test_a_conductor_and_a_compute_of_version_1_0_are_understood():
    message = over_the_bus(request_message(REQUEST, 1.5))

    assert message["images"] == [IMAGE]
    del message["orders"]
    assert read_request(message, "cmp-1") == (REQUEST, 1.5)


@pytest.mark.parametrize("change", [{"images": None}, {"images": ["no uuid"]}, {"images": [str(IMAGE)] * 10_001}])
def test_a_request_of_version_1_0_that_makes_no_sense_is_refused(change):
    message = {**request_message(REQUEST, 1.5), **change}
    del message["orders"]

    with pytest.raises(Malformed):
        read_request(message, "cmp-1")


_STEERING = [
    (read_cancel, cancel_message("job", "cmp-1", "cell1", 0)),
    (read_pause, pause_message("job", "cmp-1", "cell1", 0, CALL)),
    (read_limit, limit_message("job", "cmp-1", "cell1", RATES, CALL)),
]


@pytest.mark.parametrize("change", [{"host": "another"}, {"host": None}, {"job_id": "../job"}, {"job_id": None}])
@pytest.mark.parametrize(("read", "message"), _STEERING)
def test_a_message_that_steers_an_unknown_job_or_another_host_is_refused(read, message, change):
    with pytest.raises(Malformed):
        read({**message, **change}, "cmp-1")


@pytest.mark.parametrize(
    ("read", "message", "change"),
    [
        *((read, message, {"retry_count": count}) for read, message in _STEERING for count in (-1, True, "1", 2**31)),
        *((read, message, {"number": number}) for read, message in _STEERING[1:] for number in (-1, None, 1.5, 2**63)),
        *((read, message, {"sender": sender}) for read, message in _STEERING[1:] for sender in (None, "../x", "")),
        *(
            (read_limit, _STEERING[2][1], {"rates": rates})
            for rates in (None, [], {"no uuid": 1}, *({str(IMAGE): rate} for rate in (0, -1, True, "1", 10**13)))
        ),
    ],
)
def test_a_message_that_steers_with_a_field_that_makes_no_sense_is_refused(read, message, change):
    with pytest.raises(Malformed):
        read({**message, **change}, "cmp-1")


@pytest.mark.parametrize("value", ["yes", 1, None, False])
def test_a_request_is_cancelled_or_paused_by_true_alone(value):
    marks = {"cancelled": value, "paused": value}

    assert read_request({**request_message(REQUEST, 1.5), **marks}, "cmp-1") == (REQUEST, 1.5)


@pytest.mark.parametrize("value", ["yes", 1, None, False])
def test_a_failure_may_pass_by_true_alone(value):
    failure = TaskResult(IMAGE, Outcome.ERROR, may_pass=True)
    (message,) = over_the_bus(results_message([failure]))["results"]

    assert read_results({"results": [message]}) == [failure]
    assert read_results({"results": [message | {"may_pass": value}]}) == [replace(failure, may_pass=False)]


@pytest.mark.parametrize("name", ["_cmp", "-cmp", ".cmp", "7", "x" * 255])
def test_a_host_that_may_start_is_accepted(name):
    beat, progress = replace(BEAT, host=name), replace(PROGRESS, host=name)

    assert is_name(name)
    assert read_heartbeats(over_the_bus(heartbeats_message([beat], "1.0")), "cell1", NOW) == [beat]
    assert read_progress(over_the_bus(progress_message([progress])), "cell1") == [progress]


def test_fields_of_a_newer_release_are_ignored():
    assert read_request(_newer_request(), "cmp-1") == (REQUEST, 1.5)
    assert read_results(newer({"results": [newer(results_message(RESULTS)["results"][0])]})) == RESULTS[:1]
    assert read_heartbeats(newer({"beats": [newer(heartbeats_message([BEAT], "1.0")["beats"][0])]}), "cell1", NOW) == [
        BEAT
    ]
    assert read_progress(newer({"tasks": [newer(progress_message([PROGRESS])["tasks"][0])]}), "cell1") == [PROGRESS]


@pytest.mark.parametrize(
    "change",
    [
        {"host": "another"},
        {"host": None},
        {"job_id": "../job"},
        {"job_id": 7},
        {"orders": None},
        {"orders": ["no object"]},
        {"orders": [{}]},
        {"orders": [{"image": "no uuid"}]},
        {"orders": [{"image": str(IMAGE)}] * 10_001},
        {"expires_at": "soon"},
        {"expires_at": True},
        {"expires_at": 10**400},
        {"expires_at": math.nan},
        {"expires_at": math.inf},
        {"cell": 3},
        {"retry_count": -1},
        {"retry_count": True},
        {"priority": 101},
        {"priority": None},
        {"sender": ""},
        {"sender": "conductor", "number": -1},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_request({**request_message(REQUEST, 1.5), **change}, "cmp-1")


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "melted"},
        {"outcome": "skipped"},
        {"outcome": None},
        {"image": "no uuid"},
        {"image": None},
        {"bytes_moved": -1},
        {"bytes_moved": 2**46 + 1},
        {"bytes_moved": "7"},
        {"bytes_moved": True},
    ],
)
def test_a_result_that_makes_no_sense_is_left_out_with_one_line(change, caplog):
    good, bad = results_message(RESULTS[:1])["results"][0], results_message(RESULTS)["results"][0] | change

    assert read_results({"results": [bad, good, bad, "text"]}) == RESULTS[:1]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("instant", ["yesterday", 5, "2026-03-01T12:00:00", "0001-01-01T00:00:00+14:00", None])
def test_an_invalid_instant_is_left_out_of_a_result(instant):
    message = results_message(RESULTS[:1])["results"][0] | {"started_at": instant}

    assert read_results({"results": [message]})[0].started_at is None


def test_a_reason_that_no_database_would_take_is_written_out():
    text = json.dumps(results_message(RESULTS[:2])).replace("no space", "\\udcff\\u0000")

    assert [result.reason for result in read_results(json.loads(text))] == ["", "\\udcff  on \N{SNOWMAN}"]
    assert read_reason({"reason": "\udcff"}) == "\\udcff"


def test_a_reason_is_fit_for_a_terminal():
    message = results_message([TaskResult(IMAGE, Outcome.ERROR, reason="a\x1b]0;b\nc" + "x" * 5000)])

    (result,) = read_results(message)

    assert result.reason.startswith("a ]0;b c")
    assert len(result.reason) == 1000


@pytest.mark.parametrize(("sent", "read"), [("a\x1b]0;b\nc" + "x" * 5000, "a ]0;b c" + "x" * 247), (7, ""), (None, "")])
def test_what_decoded_an_image_is_one_short_line(sent, read):
    message = results_message(RESULTS[:1])["results"][0] | {"decoded_by": sent}

    assert [result.decoded_by for result in read_results({"results": [message]})] == [read]


@pytest.mark.parametrize(
    "change",
    [
        {"host": "a/b"},
        {"host": ".."},
        {"host": ""},
        {"host": "x" * 256},
        {"driver": 1},
        {"rpc_version": "new"},
        {"rpc_version": None},
        {"site": "a b"},
    ],
)
def test_a_heartbeat_that_makes_no_sense_is_left_out_with_one_line(change, caplog):
    good = heartbeats_message([BEAT], "1.0")["beats"][0]

    assert read_heartbeats({"beats": [good | change, good]}, "cell1", NOW) == [BEAT]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "dreaming"},
        {"bytes_done": -1},
        {"bytes_total": 2**46 + 1},
        {"image": 3},
        {"host": "\n"},
        {"job_id": None},
    ],
)
def test_progress_that_makes_no_sense_is_left_out(change):
    good = progress_message([PROGRESS])["tasks"][0]

    assert read_progress({"tasks": [good | change, good]}, "cell1") == [PROGRESS]


@pytest.mark.parametrize("message", [{}, {"beats": {}}, {"beats": "cmp-1"}, heartbeats_message([BEAT] * 101, "1.0")])
def test_a_message_without_its_list_or_with_one_that_no_compute_sends_is_refused(message):
    with pytest.raises(Malformed):
        read_heartbeats(message, "cell1", NOW)


@pytest.mark.parametrize("allowed", [None, "soon", math.inf])
def test_a_call_without_a_time_limit_cannot_be_extended(allowed):
    message = request_message(REQUEST, 1.5, 60.0) | {"allowed_seconds": allowed}

    assert read_request(message, "cmp-1")[0].call_ends is None
