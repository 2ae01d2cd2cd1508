"""One job, from the claim to its end, with hosts that answer, fail, die and are away."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.background.cancel_token import CancelToken
from precache.conductor.announce import END, PROGRESS, START
from precache.core.errors import ComputeUnreachable, InventoryUnavailable, LeaseLost, Stopped, StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.jobs import HostAsked, JobState, NewJob, Outcome
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.stopping import StopReason
from precache.ports.compute_gateway import ImagesRequest
from precache.rules.group_by_cell import RpcRequirement
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import DOWN_TIME, FIRST, LEASE, SECOND, Cloud, answers, raises

UNTIL = datetime(2036, 1, 1, tzinfo=UTC)
REQUIREMENT = RpcRequirement(
    "1.0", for_options="1.1", for_later_options="1.3", for_end_times="1.4", for_operations="1.4"
)


@pytest.mark.parametrize(
    ("hosts", "state"),
    [
        ({"a": answers(Outcome.CACHED), "b": answers(Outcome.EXISTING)}, JobState.SUCCEEDED),
        ({"a": answers(Outcome.CACHED), "b": answers(Outcome.ERROR)}, JobState.PARTLY_FAILED),
        ({"a": answers(Outcome.UNSUPPORTED)}, JobState.FAILED),
        ({}, JobState.SUCCEEDED),
    ],
)
def test_a_job_ends_as_its_tasks_do(hosts, state):
    cloud = Cloud(hosts)

    cloud.run()

    assert cloud.jobs.get("job").state is state


def test_every_host_that_does_not_answer_is_an_error_with_its_reason():
    cloud = Cloud(
        {
            "dies": raises(ComputeUnreachable("dies", "no heartbeat for 60 s")),
            "breaks": raises(RuntimeError("boom")),
            "forgets": lambda request: [],
            "stops": raises(Stopped("Caching")),
            "works": answers(Outcome.CACHED),
        }
    )

    cloud.run()

    assert cloud.outcomes() == {
        "dies": [Outcome.ERROR], "breaks": [Outcome.ERROR], "forgets": [Outcome.ERROR], "stops": [Outcome.ERROR],
        "works": [Outcome.CACHED],
    }  # fmt: skip
    assert "no heartbeat for 60 s" in cloud.reason("dies")
    assert "boom" in cloud.reason("breaks")
    assert "not for this image" in cloud.reason("forgets")
    assert "stopped" in cloud.reason("stops")


def test_hosts_that_are_down_or_forced_down_are_skipped_without_being_asked():
    asked = []

    def compute(request):
        asked.append(request.host)
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({"silent": compute, "forced": compute, "up": compute})
    cloud.clock.advance(DOWN_TIME + timedelta(seconds=1))
    for name in ("forced", "up"):
        cloud.inventory.store_heartbeats([Heartbeat(name, "cell1", "fake", cloud.clock.now())])
    cloud.inventory.set_forced_down("forced", forced_down=True)

    cloud.run()

    assert asked == ["up"]
    assert cloud.outcomes() == {"silent": [Outcome.SKIPPED], "forced": [Outcome.SKIPPED], "up": [Outcome.CACHED]}
    assert cloud.reason("silent")
    assert {task.host: task.cell for task in cloud.jobs.list_tasks("job")} == {
        "silent": "cell1", "forced": "cell1", "up": "cell1",
    }  # fmt: skip


def test_an_unmapped_host_is_an_error_and_the_others_continue():
    cloud = Cloud({"known": answers(Outcome.CACHED)})
    cloud.run()
    cloud.jobs.add(
        NewJob(
            id="second",
            hosts=("unknown", "known"),
            orders=(ImageOrder(FIRST),),
            requested_by="admin",
            request_id="req-2",
            created_at=cloud.clock.now(),
        )
    )

    cloud.run()

    tasks = {task.host: task for task in cloud.jobs.list_tasks("second")}
    assert tasks["unknown"].outcome is Outcome.ERROR
    assert "belongs to no cell" in tasks["unknown"].reason
    assert tasks["known"].outcome is Outcome.CACHED


@pytest.mark.parametrize("options", [OrderOptions(as_is=True), OrderOptions(keep_for_s=60)], ids=["as_is", "keep"])
@pytest.mark.parametrize("pin", [None, "1.2"])
def test_an_old_compute_is_called_without_the_images_whose_options_it_would_ignore(pin, options):
    orders = (ImageOrder(FIRST), ImageOrder(SECOND, options))
    asked = []

    def caching(request):
        asked.append((request.host, request.images))
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({"old": caching, "new": caching}, orders=orders)
    cloud.inventory.store_heartbeats([Heartbeat("new", "cell2", "fake", cloud.clock.now(), "1.3")])

    cloud.run(requirement=RpcRequirement("1.0", pin, for_options="1.1", for_later_options="1.3"))

    new = ((FIRST, SECOND), [Outcome.CACHED, Outcome.CACHED])
    old = ((FIRST,), [Outcome.CACHED, Outcome.ERROR])
    expected = {"old": old, "new": old if pin else new}
    assert dict(asked) == {host: images for host, (images, _) in expected.items()}
    assert cloud.outcomes() == {host: outcomes for host, (_, outcomes) in expected.items()}
    reason = next(task.reason for task in cloud.jobs.list_tasks("job") if (task.host, task.image) == ("old", SECOND))
    assert "version 1.3 of the messages is needed" in reason
    assert cloud.events() == [START, PROGRESS, PROGRESS, END]


@pytest.mark.parametrize(
    ("operation", "options", "reason"),
    [
        (Operation.CACHE, OrderOptions(keep_until=UNTIL), "version 1.4 of the messages is needed"),
        (Operation.PURGE, OrderOptions(), "version 1.4 of the messages is needed"),
    ],
)
def test_a_compute_of_version_1_3_is_not_called_for_what_it_would_misunderstand(operation, options, reason):
    asked = []

    def processing(request):
        asked.append((request.host, request.operation))
        return answers(Outcome.PURGED)(request)

    cloud = Cloud({"old": processing, "new": processing}, orders=(ImageOrder(FIRST, options),), operation=operation)
    for host, version in (("old", "1.3"), ("new", "1.4")):
        cloud.inventory.store_heartbeats([Heartbeat(host, cloud.cell_of(host), "fake", cloud.clock.now(), version)])

    cloud.run(requirement=REQUIREMENT)

    assert asked == [("new", operation)]
    assert cloud.outcomes() == {"old": [Outcome.ERROR], "new": [Outcome.PURGED]}
    assert reason in cloud.reason("old")
    assert (START in cloud.events()) == (operation is Operation.CACHE)


def test_a_host_that_lacks_only_a_kernel_for_which_its_compute_is_too_old_is_not_called():
    asked = []
    cloud = Cloud({"old": asked.append}, orders=(ImageOrder(SECOND, OrderOptions(as_is=True)),))

    cloud.run(requirement=RpcRequirement("1.0", for_options="1.1", for_later_options="1.3"))

    assert asked == []
    assert cloud.outcomes() == {"old": [Outcome.ERROR]}


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        (RpcRequirement("1.1"), "its compute speaks version 1.0; update Precache on the host"),
        (RpcRequirement("1.1", pin="1.0"), "pinned to version 1.0"),
    ],
)
def test_a_compute_that_does_not_know_the_message_is_not_called_and_is_an_error(requirement, words):
    asked = []
    cloud = Cloud({"old": asked.append, "forced": asked.append})
    cloud.inventory.set_forced_down("forced", forced_down=True)

    cloud.run(requirement=requirement)

    assert asked == []
    assert cloud.outcomes() == {"old": [Outcome.ERROR], "forced": [Outcome.SKIPPED]}
    assert words in cloud.reason("old")
    assert cloud.events() == [START, PROGRESS, PROGRESS, END]


def test_no_more_hosts_are_asked_at_once_than_configured():
    busy, most, lock = 0, 0, threading.Lock()
    barrier = threading.Barrier(3)  # passes only if three calls are under way together

    def compute(request):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        barrier.wait(10)
        with lock:
            busy -= 1
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({f"host-{number}": compute for number in range(9)}, concurrency=3)

    cloud.run()

    assert most == 3
    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 9}


def test_each_host_is_asked_once_for_all_images_in_the_order_of_the_request():
    requests = []

    def compute(request):
        requests.append(request)
        return answers(Outcome.CACHED)(request)

    cloud = Cloud({"a": compute}, images=(SECOND, FIRST))

    cloud.run()

    assert requests == [ImagesRequest("job", "a", "cell1", (ImageOrder(SECOND), ImageOrder(FIRST)))]


def test_start_one_progress_per_host_and_end_are_announced():
    cloud = Cloud({"a": answers(Outcome.CACHED), "b": answers(Outcome.ERROR), "c": answers(Outcome.CACHED)})
    cloud.inventory.set_forced_down("c", forced_down=True)

    cloud.run()

    assert cloud.events() == [START, PROGRESS, PROGRESS, PROGRESS, END]
    payloads = [dict(n.payload)["nova_object.data"] for n in cloud.notifier.sent]
    assert [payload["index"] for payload in payloads[1:-1]] == [1, 2, 3]
    assert {payload["total"] for payload in payloads[1:-1]} == {3}
    assert {payload["host"] for payload in payloads[1:-1]} == {"a", "b", "c"}
    assert payloads[0] == payloads[-1]
    assert payloads[0]["hosts"] == ["a", "b", "c"]
    assert payloads[0]["metadata"] == {"availability_zone": "az"}
    assert [n.publisher_id for n in cloud.notifier.sent] == [
        "nova-api:here", *["nova-conductor:here"] * 3, "nova-api:here",
    ]  # fmt: skip


def test_a_job_waits_for_an_inventory_that_is_unavailable_at_its_start():
    class Returns(MemoryInventory):
        failures = 1

        def find_hosts(self, names):
            if self.failures:
                self.failures -= 1
                raise InventoryUnavailable("http://nova/v2.1", "connection refused")
            return super().find_hosts(names)

    clock = MemoryClock()
    cloud = Cloud({"a": answers(Outcome.CACHED)}, inventory=Returns(clock=clock), clock=clock)

    cloud.run()

    assert cloud.jobs.get("job").state is JobState.SUCCEEDED


def test_the_metadata_of_the_request_is_announced_though_the_aggregate_is_gone_since():
    cloud = Cloud({"a": answers(Outcome.CACHED)})
    cloud.inventory.remove_host(cloud.aggregate.id, "a", cloud.clock.now())
    cloud.inventory.delete_aggregate(cloud.aggregate.id)

    cloud.run()

    told = [dict(n.payload)["nova_object.data"] for n in cloud.notifier.sent if n.event_type in (START, END)]
    assert [data["metadata"] for data in told] == [{"availability_zone": "az"}] * 2


def test_a_job_that_has_ended_is_not_called_interrupted_when_the_store_goes_down_then(caplog):
    class LeavesAtTheEnd(MemoryJobs):
        def list_tasks(self, job_id, **options):
            raise StoreUnavailable("gone")

    cloud = Cloud({"a": raises(ComputeUnreachable("a", "gone"))}, jobs=LeavesAtTheEnd())

    with caplog.at_level(logging.INFO):
        cloud.run()

    assert cloud.jobs.get("job").state is JobState.FAILED
    assert "completed in" in caplog.text
    assert "The failed images of job job cannot be listed in the log" in caplog.text


def test_the_end_is_announced_when_every_host_fails():
    cloud = Cloud({"a": raises(RuntimeError("boom"))})

    cloud.run()

    assert cloud.events()[-1] == END


def test_a_stopped_conductor_gives_the_rest_back_and_the_next_one_finishes_it():
    stop = CancelToken()

    def stops_the_service(request):
        stop.cancel(StopReason.SHUTDOWN)
        raise Stopped("Caching")

    asked_later = []
    cloud = Cloud({"a": answers(Outcome.CACHED), "b": stops_the_service, "c": answers(Outcome.CACHED)}, concurrency=1)
    cloud.run(stop=stop)
    assert cloud.jobs.get("job").state is JobState.QUEUED
    assert cloud.outcomes() == {"a": [Outcome.CACHED], "b": [None], "c": [None]}
    assert END not in cloud.events()

    def remembers(request):
        asked_later.append(request.host)
        return answers(Outcome.CACHED)(request)

    for name in "abc":
        cloud.gateway.join(name, PlayedHost(remembers))
    cloud.run(owner="two")

    assert sorted(asked_later) == ["b", "c"]
    assert cloud.jobs.get("job").state is JobState.SUCCEEDED
    assert cloud.events().count(START) == 1
    assert cloud.events().count(END) == 1
    indexes = [
        dict(n.payload)["nova_object.data"].get("index") for n in cloud.notifier.sent if n.event_type == PROGRESS
    ]
    assert indexes == [1, 2, 3]


def test_a_job_taken_over_from_a_dead_conductor_ends_the_same_way():
    cloud = Cloud({"a": answers(Outcome.CACHED), "b": answers(Outcome.CACHED)})
    dead = cloud.jobs.claim("dead", LEASE)
    assert dead is not None
    cloud.jobs.record(dead.claim, [HostAsked("a", "cell1", (FIRST,), cloud.clock.now())])

    cloud.clock.advance(LEASE + timedelta(seconds=1))
    cloud.run(owner="heir")

    assert cloud.jobs.get("job").state is JobState.SUCCEEDED
    assert [task.attempts for task in cloud.jobs.list_tasks("job")] == [2, 1]
    assert cloud.events()[-1] == END


def test_a_conductor_that_lost_its_lease_changes_nothing_more():
    cloud = Cloud({"a": answers(Outcome.CACHED)})
    job = cloud.jobs.claim("slow", LEASE)
    assert job is not None
    cloud.clock.advance(LEASE + timedelta(seconds=1))
    heir = cloud.jobs.claim("heir", LEASE)
    assert heir is not None

    with pytest.raises(LeaseLost):
        cloud.run_claimed(job, CancelToken())

    assert cloud.jobs.get("job").state is JobState.RUNNING
    assert END not in cloud.events()


@settings(max_examples=50, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["cached", "existing", "error", "raises", "silent", "forced"]), max_size=8),
    concurrency=st.integers(1, 4),
)
def test_whatever_the_hosts_do_every_task_ends_once_and_the_end_comes(kinds, concurrency):
    behaviour = {
        "raises": raises(RuntimeError("boom")),
        "silent": lambda request: [],
        "forced": answers(Outcome.CACHED),
    }
    hosts = {f"{kind}-{number}": behaviour.get(kind) or answers(Outcome(kind)) for number, kind in enumerate(kinds)}
    cloud = Cloud(hosts, images=(FIRST, SECOND), concurrency=concurrency)
    for name in hosts:
        cloud.inventory.set_forced_down(name, forced_down=name.startswith("forced"))

    cloud.run()

    tasks = cloud.jobs.list_tasks("job")
    assert len(tasks) == 2 * len(hosts)
    assert all(task.outcome is not None for task in tasks)
    assert cloud.jobs.get("job").state.is_final
    assert cloud.events().count(PROGRESS) == len(hosts)
    assert cloud.events()[-1] == END
    cloud.pool.shutdown()


def test_hosts_are_given_time_for_heartbeats_after_the_start_before_they_count_as_down():
    cloud = Cloud({name: answers(Outcome.CACHED) for name in ("silent", "forced down", "late")})
    cloud.clock.advance(DOWN_TIME * 2)
    cloud.inventory.set_forced_down("forced down", True)
    asked = []

    def listening_for_s(cell):
        asked.append(cell)
        if len(asked) == 5:  # in the third look, with two silent hosts in each
            cloud.inventory.store_heartbeats([Heartbeat("late", "cell1", "fake", cloud.clock.now())])
        return 0.0 if len(asked) < 9 else DOWN_TIME.total_seconds()

    cloud.run(listening_for_s=listening_for_s)

    assert cloud.outcomes() == {
        "silent": [Outcome.SKIPPED],
        "forced down": [Outcome.SKIPPED],
        "late": [Outcome.CACHED],
    }


def test_a_conductor_that_stops_before_the_heartbeats_records_no_host_as_down():
    cloud = Cloud({"a": answers(Outcome.CACHED), "b": answers(Outcome.CACHED)})
    cloud.clock.advance(DOWN_TIME * 2)
    cloud.inventory.store_heartbeats([Heartbeat("b", "cell2", "fake", cloud.clock.now())])
    stop = CancelToken()
    threading.Timer(0.2, stop.cancel, [StopReason.SHUTDOWN]).start()

    cloud.run(stop=stop, listening_for_s=lambda _cell: 0.0)

    assert cloud.jobs.get("job").state is JobState.QUEUED
    assert cloud.outcomes() == {"a": [None], "b": [None]}
