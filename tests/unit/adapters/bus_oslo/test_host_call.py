"""How often a host is asked, and what comes of each of its answers, with a bus that answers as it is told."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.bus_oslo.bus import NoAnswer, QueueMissing, RemoteBug, VersionUnknown
from precache.adapters.bus_oslo.bus_state import BusState
from precache.adapters.bus_oslo.computes import OsloComputes
from precache.adapters.bus_oslo.contents_messages import contents_message
from precache.adapters.bus_oslo.messages import results_message
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import BusUnavailable, ComputeOutdated, ComputeUnreachable, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.ports.compute_gateway import ImagesRequest

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))
UNTIL = datetime(2036, 1, 1, tzinfo=UTC)
RESULTS = [TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7)]


class ScriptedBus:
    """Answers each call with the next of `answers`; an exception is raised, a function called."""

    place = "rabbit:5672/cell1"

    def __init__(self, *answers):
        self.state = BusState(place=self.place)
        self._answers = list(answers)
        self.asked = []
        self.sent = []

    def call(self, topic, server, method, message, *, timeout_s, monitor_s, version):
        self.asked.append((message, monitor_s))
        self.sent.append((server, method, version, message))
        answer = self._answers.pop(0)
        if callable(answer) and not isinstance(answer, type):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


def gateway(*buses, long_s=60, silence_s=9, **options):
    """Return a gateway to the hosts of a cell. buses: of the cell, each time it is asked for; the last one stays."""
    left = list(buses)

    def bus_now(cell):
        assert cell == "cell1"
        bus = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(bus, Exception):
            raise bus
        return bus

    return OsloComputes(
        buses=bus_now,
        long_rpc_timeout=timedelta(seconds=long_s),
        call_monitor_timeout=timedelta(seconds=silence_s),
        **options,
    )


def ask(*buses, **options):
    """Return what comes of a request."""
    return gateway(*buses, **options).process_images(REQUEST)


def cancel(*buses, **options):
    gateway(*buses, **options).cancel("job", "cmp-1", "cell1")


def error(code, **details):
    return {"error": {"code": code, **details}}


def test_the_host_result_is_returned_unchanged():
    assert ask(ScriptedBus(results_message(RESULTS))) == RESULTS


def test_a_silent_host_is_called_again_after_two_thirds_of_the_limit_and_fails_after_all_of_it():
    bus = ScriptedBus(NoAnswer(), NoAnswer())

    with pytest.raises(ComputeUnreachable, match="no sign of life for 9 seconds"):
        ask(bus)

    assert [monitor_s for _, monitor_s in bus.asked] == [6, 3]


def test_a_host_that_answers_when_it_is_asked_again_is_believed():
    assert ask(ScriptedBus(NoAnswer(), results_message(RESULTS))) == RESULTS


def test_silence_while_the_broker_was_down_does_not_count():
    bus = ScriptedBus(NoAnswer(), NoAnswer(), NoAnswer(), NoAnswer(), results_message(RESULTS))
    bus.state.note_down("connection refused")
    bus.state.note_up()

    assert ask(bus) == RESULTS


def test_a_host_whose_queue_does_not_exist_is_an_error_at_once():
    bus = ScriptedBus(QueueMissing())

    with pytest.raises(ComputeUnreachable, match="no Precache compute listens"):
        ask(bus)

    assert len(bus.asked) == 1


def test_after_an_outage_of_the_broker_a_host_may_take_a_while_to_reconnect():
    bus = ScriptedBus(QueueMissing(), QueueMissing(), results_message(RESULTS))
    bus.state.note_down("connection refused")
    bus.state.note_up()

    assert ask(bus) == RESULTS


def test_a_host_that_was_there_may_lose_its_way_to_the_broker_for_as_long_as_it_may_be_silent():
    assert ask(ScriptedBus(NoAnswer(), QueueMissing(), results_message(RESULTS))) == RESULTS
    with pytest.raises(ComputeUnreachable, match="no sign of life"):
        ask(ScriptedBus(NoAnswer(), *[QueueMissing()] * 20), silence_s=3)


def test_a_broker_that_has_been_down_for_longer_than_a_host_may_be_silent_ends_the_asking_at_once():
    now = [0.0]
    bus = ScriptedBus(BusUnavailable("rabbit:5672/cell1", "connection refused"))
    bus.state = BusState(place=bus.place, monotonic=lambda: now[0])
    bus.state.note_down("connection refused")
    now[0] = 10.0

    with pytest.raises(ComputeUnreachable, match="rabbit:5672/cell1 is not available: connection refused"):
        ask(bus)


def test_the_bus_that_the_cell_has_now_is_asked_after_a_change():
    old, new = (
        ScriptedBus(BusUnavailable("rabbit:5672/cell1", "it is no longer used")),
        ScriptedBus(results_message(RESULTS)),
    )
    old.state.note_up()

    assert ask(old, old, new) == RESULTS
    assert (len(old.asked), len(new.asked)) == (1, 1)


def test_a_broker_that_stays_down_is_not_waited_for_once_the_cell_has_another():
    old, new = (
        ScriptedBus(BusUnavailable("rabbit:5672/cell1", "connection refused")),
        ScriptedBus(results_message(RESULTS)),
    )
    old.state.note_down("connection refused")
    new.state.note_up()

    assert ask(old, old, new) == RESULTS


def test_a_host_is_given_time_to_come_to_a_new_bus():
    old, new = ScriptedBus(NoAnswer()), ScriptedBus(QueueMissing(), results_message(RESULTS))

    assert ask(old, old, new) == RESULTS


def test_silence_on_the_old_bus_does_not_count_on_the_new_one():
    old, new = ScriptedBus(NoAnswer()), ScriptedBus(NoAnswer(), results_message(RESULTS))

    assert ask(old, old, new) == RESULTS


def test_a_cell_that_has_no_bus_any_more_ends_the_asking_with_that_reason():
    gone = BusUnavailable("of cell cell1", "no transport URL is known")

    with pytest.raises(BusUnavailable, match="no transport URL is known"):
        ask(ScriptedBus(NoAnswer()), ScriptedBus(NoAnswer()), gone)


def test_a_host_that_took_too_long_is_an_error_with_that_reason():
    with pytest.raises(ComputeUnreachable, match="long_rpc_timeout"):
        ask(ScriptedBus(), long_s=0)


def test_a_host_that_is_held_back_may_take_longer_and_is_called_again():
    bus = ScriptedBus(error("held_back", seconds=9.8), error("held_back", seconds=10**6), results_message(RESULTS))

    assert ask(bus, long_s=4) == RESULTS

    allowed = [message["allowed_seconds"] for message, _ in bus.asked]
    # What the host says, but never more than the whole limit again.
    assert allowed == [pytest.approx(seconds, abs=0.6) for seconds in (3.9, 3.4, 3.4)]
    assert [message["number"] for message, _ in bus.asked] == [1, 1, 1]


@pytest.mark.parametrize("seconds", [None, "long", True, 10**400])
def test_a_host_that_is_held_back_for_no_time_has_failed(seconds):
    with pytest.raises(ComputeUnreachable, match="held_back"):
        ask(ScriptedBus(error("held_back", seconds=seconds)))


def test_a_host_that_was_held_back_and_has_no_time_left_took_too_long():
    with pytest.raises(ComputeUnreachable, match="long_rpc_timeout"):
        ask(ScriptedBus(error("held_back", seconds=0.1)))


def test_a_message_that_came_too_late_is_sent_again_by_the_host_s_own_clock():
    host_now = time.time() + 3600
    bus = ScriptedBus(error("expired", now=host_now), results_message(RESULTS))

    assert ask(bus) == RESULTS

    first, second = (message["expires_at"] for message, _ in bus.asked)
    assert first < host_now < second


@pytest.mark.parametrize("now", [10**400, float("nan"), "noon", True, None])
def test_a_clock_that_makes_no_sense_is_not_followed(now):
    bus = ScriptedBus(error("expired", now=now), results_message(RESULTS))

    assert ask(bus) == RESULTS


def test_a_host_that_finds_every_message_late_is_an_error():
    with pytest.raises(ComputeUnreachable, match="expired"):
        ask(ScriptedBus(*[error("expired", now=0)] * 10))


def test_a_compute_that_is_being_stopped_is_distinguished():
    with pytest.raises(Stopped):
        ask(ScriptedBus(error("stopped")))


def test_nothing_is_asked_by_a_conductor_that_is_being_stopped():
    bus = ScriptedBus()
    stopped = gateway(bus)
    stopped.stop()

    with pytest.raises(Stopped):
        stopped.process_images(REQUEST)
    with pytest.raises(Stopped):
        stopped.cancel("job", "cmp-1", "cell1")

    assert bus.asked == []


def test_the_other_side_s_refusal_of_the_version_means_an_outdated_compute():
    with pytest.raises(ComputeOutdated, match="cmp-1"):
        ask(ScriptedBus(VersionUnknown()))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error("failed", reason="the disk is on fire"), "the disk is on fire"),
        (error("failed", reason=["no", "text"]), "'failed'"),
        (error("of a newer release"), "of a newer release"),
        (error("failed", reason="two\nlines\x1b[31m"), "two lines "),
        ({"error": {"reason": "no code"}}, "is not valid"),
        ({"results": "none"}, "is not valid"),
        ({}, "is not valid"),
        (None, "is not valid"),
        (RemoteBug("KeyError"), "KeyError"),
    ],
)
def test_whatever_else_a_host_answers_is_an_error_of_that_host(answer, words):
    with pytest.raises(ComputeUnreachable, match="cmp-1") as caught:
        ask(ScriptedBus(answer))

    assert words in str(caught.value)


def test_a_cancel_names_the_job_and_is_sent_in_the_version_that_has_it():
    bus = ScriptedBus({})

    cancel(bus)

    assert bus.sent == [("cmp-1", "cancel_job", "1.2", {"job_id": "job", "host": "cmp-1", "cell": "cell1"})]


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, "1.0"),
        ({"priority": 90}, "1.0"),
        ({"orders": (ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=1)),)}, "1.1"),
        ({"orders": (ImageOrder(IMAGE, OrderOptions(as_is=True)),)}, "1.3"),
        ({"orders": (ImageOrder(IMAGE, OrderOptions(keep_for_s=60)),)}, "1.3"),
        ({"orders": (ImageOrder(IMAGE, OrderOptions(keep_until=UNTIL)),)}, "1.4"),
        ({"is_cancelled": True}, "1.2"),
        ({"operation": Operation.UNPIN, "is_cancelled": True}, "1.4"),
        ({"is_paused": True}, "1.3"),
        ({"retry_count": 1}, "1.3"),
    ],
)
def test_a_request_is_sent_in_the_lowest_version_that_has_what_it_needs(changes, version):
    bus = ScriptedBus(results_message(RESULTS))

    gateway(bus).process_images(replace(REQUEST, **changes))

    assert [version for _, _, version, _ in bus.sent] == [version]


@pytest.mark.parametrize("operation", Operation)
def test_another_operation_than_to_cache_has_a_method_that_older_hosts_refuse(operation):
    bus = ScriptedBus(results_message(RESULTS))

    gateway(bus).process_images(replace(REQUEST, operation=operation))

    ((_, method, _, message),) = bus.sent
    is_caching = operation is Operation.CACHE
    assert (method, message.get("operation")) == (
        ("cache_images", None) if is_caching else ("process_images", operation)
    )


def test_a_host_of_version_1_3_or_a_pin_to_it_is_outdated_for_the_other_operations():
    purge = replace(REQUEST, operation=Operation.PURGE)

    with pytest.raises(ComputeOutdated, match=r"cmp-1.* version 1\.4 .* does not speak it; update Precache"):
        gateway(ScriptedBus(VersionUnknown())).process_images(purge)
    with pytest.raises(ComputeOutdated, match=r"pinned to version 1\.3"):
        gateway(ScriptedBus(), pin="1.3").process_images(purge)


def test_a_pause_is_sent_with_the_number_of_the_call():
    bus = ScriptedBus({})

    gateway(bus).pause("job", "cmp-1", "cell1", 2)

    ((host, method, version, message),) = bus.sent
    assert (host, method, version) == ("cmp-1", "pause_job", "1.3")
    assert message == {
        "job_id": "job", "host": "cmp-1", "cell": "cell1", "retry_count": 2, "sender": message["sender"], "number": 1,
    }  # fmt: skip


def test_limits_are_sent_as_numbers_or_none():
    bus = ScriptedBus({})

    gateway(bus).limit("job", "cmp-1", "cell1", {IMAGE: None})

    ((_, method, version, message),) = bus.sent
    assert (method, version, message["rates"]) == ("limit_job", "1.3", {IMAGE: None})


@pytest.mark.parametrize(
    ("stop", "method", "mark", "version"),
    [
        (lambda computes: computes.cancel("job", "cmp-1", "cell1"), "cancel_job", "cancelled", "1.2"),
        (lambda computes: computes.pause("job", "cmp-1", "cell1"), "pause_job", "paused", "1.3"),
    ],
)
def test_a_request_that_is_repeated_after_a_stop_is_marked(stop, method, mark, version):
    bus = ScriptedBus()
    computes = gateway(bus)

    def stop_meanwhile():
        bus._answers = [{}, results_message(RESULTS)]
        stop(computes)
        return NoAnswer()

    bus._answers = [stop_meanwhile]
    computes.process_images(REQUEST)

    assert [(method, version, message.get(mark)) for _, method, version, message in bus.sent] == [
        ("cache_images", "1.0", None),
        (method, version, None),
        ("cache_images", version, True),
    ]


def test_a_request_that_is_made_after_a_pause_resumes_the_job():
    bus = ScriptedBus({}, results_message(RESULTS), results_message(RESULTS))
    computes = gateway(bus)

    computes.pause("job", "cmp-1", "cell1")
    computes.process_images(REQUEST)
    computes.process_images(replace(REQUEST, is_paused=True))

    assert [(version, message.get("paused")) for _, _, version, message in bus.sent[1:]] == [
        ("1.0", None),
        ("1.3", True),
    ]


def test_a_stop_of_one_retry_of_a_job_marks_no_request_of_another():
    bus = ScriptedBus({}, results_message(RESULTS))
    computes = gateway(bus)

    computes.cancel("job", "cmp-1", "cell1")
    computes.process_images(replace(REQUEST, retry_count=1))

    assert "cancelled" not in bus.sent[-1][3]


@pytest.mark.parametrize(
    "steer",
    [
        lambda computes: computes.pause("job", "cmp-1", "cell1"),
        lambda computes: computes.limit("job", "cmp-1", "cell1", {IMAGE: 5}),
        lambda computes: computes.cancel("job", "cmp-1", "cell1", 1),
        lambda computes: computes.process_images(replace(REQUEST, retry_count=1)),
    ],
)
def test_a_host_of_version_1_2_or_a_pin_to_it_is_outdated_for_what_steers_a_job(steer):
    with pytest.raises(ComputeOutdated, match=r"cmp-1.* version 1\.3 .* does not speak it; update Precache"):
        steer(gateway(ScriptedBus(VersionUnknown())))
    with pytest.raises(ComputeOutdated, match=r"pinned to version 1\.2"):
        steer(gateway(ScriptedBus(), pin="1.2"))


def test_a_cancel_that_may_be_lost_is_sent_again():
    bus = ScriptedBus(NoAnswer(), {})

    cancel(bus)

    assert len(bus.sent) == 2


def test_an_unconfirmed_cancel_fails_within_seconds_independent_of_the_requests_limit():
    bus = ScriptedBus(NoAnswer(), NoAnswer())

    with pytest.raises(ComputeUnreachable, match="no sign of life for 10 seconds"):
        cancel(bus, long_s=3600, silence_s=600)

    assert sum(monitor_s for _, monitor_s in bus.asked) < 10


def test_a_cancel_of_a_host_without_a_compute_fails_at_once():
    with pytest.raises(ComputeUnreachable, match="no Precache compute listens"):
        cancel(ScriptedBus(QueueMissing()))


def test_a_cell_without_a_bus_makes_its_hosts_unreachable_for_a_cancel():
    with pytest.raises(ComputeUnreachable, match=r"cmp-1.*no transport URL is known"):
        cancel(BusUnavailable("of cell cell1", "no transport URL is known"))


def test_a_host_of_an_earlier_release_is_outdated_for_a_cancel():
    with pytest.raises(ComputeOutdated, match=r"cmp-1.* version 1\.2 .* does not speak it; update Precache"):
        cancel(ScriptedBus(VersionUnknown()))


def test_a_host_that_does_not_know_the_cancel_is_sent_requests_as_before():
    bus = ScriptedBus(VersionUnknown(), results_message(RESULTS))
    computes = gateway(bus)
    with pytest.raises(ComputeOutdated):
        computes.cancel("job", "cmp-1", "cell1")

    computes.process_images(REQUEST)

    assert bus.sent[-1][2] == "1.0"


def test_a_pinned_version_below_that_of_the_cancel_sends_nothing():
    bus = ScriptedBus()

    with pytest.raises(ComputeOutdated, match=r"pinned to version 1\.1"):
        cancel(bus, pin="1.1")

    assert bus.sent == []
    cancel(ScriptedBus({}), pin="1.2")


def test_a_pinned_version_holds_for_requests_that_are_sent_again_after_a_cancel():
    bus = ScriptedBus(results_message(RESULTS))
    computes = gateway(bus, pin="1.1")
    with pytest.raises(ComputeOutdated):
        computes.cancel("job", "cmp-1", "cell1")

    computes.process_images(REQUEST)

    assert bus.sent[0][2] == "1.0"


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (error("stopped"), Stopped),
        (error("failed", reason="the disk is on fire"), ComputeUnreachable),
        (None, ComputeUnreachable),
        (RemoteBug("KeyError"), ComputeUnreachable),
    ],
)
def test_an_error_of_the_host_is_no_confirmation_of_a_cancel(answer, error_type):
    with pytest.raises(error_type):
        cancel(ScriptedBus(answer))


def describe(bus, within_s=5, **options):
    within = timedelta(seconds=within_s)
    return gateway(bus, **options).describe_cache("cmp-1", "cell1", (ImageSize(IMAGE, 100),), within)


def test_a_description_is_asked_for_in_the_version_that_has_it():
    bus = ScriptedBus(contents_message(CacheContents(free_bytes=7)))

    contents = describe(bus)

    assert contents == CacheContents(free_bytes=7)
    assert [(host, method, version) for host, method, version, _ in bus.sent] == [("cmp-1", "describe_cache", "1.3")]


def test_a_host_that_is_silent_is_given_up_within_the_time_for_a_description():
    bus = ScriptedBus(NoAnswer(), NoAnswer())

    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        describe(bus, long_s=3600, silence_s=600)

    assert sum(monitor_s for _, monitor_s in bus.asked) <= 5


def test_a_host_of_an_earlier_release_is_outdated_for_a_description():
    with pytest.raises(ComputeOutdated, match=r"cmp-1.* version 1\.3 .* does not speak it; update Precache"):
        describe(ScriptedBus(VersionUnknown()))


def test_a_pinned_version_below_that_of_the_description_sends_nothing():
    bus = ScriptedBus()

    with pytest.raises(ComputeOutdated, match=r"pinned to version 1\.2"):
        describe(bus, pin="1.2")

    assert bus.sent == []


def test_an_answer_without_the_contents_is_not_valid():
    with pytest.raises(ComputeUnreachable, match="is not valid"):
        describe(ScriptedBus({"held": "all"}))
