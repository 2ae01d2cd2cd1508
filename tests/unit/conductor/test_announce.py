"""What is announced of a job, with and without an aggregate."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from precache.adapters.notifier_memory import MemoryNotifier
from precache.conductor.announce import Announcer
from precache.core.images import parse_image_id
from precache.core.jobs import Job, JobState
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.core.targets import Target

JOB = Job(
    id="job",
    aggregate_id=1,
    aggregate_uuid="788608ec-ebdc-45c5-bc7f-e5f24ab92c80",
    aggregate_name="edge",
    orders=(ImageOrder(parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")),),
    state=JobState.RUNNING,
    requested_by="alice",
    request_id="req-1",
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
    started_at=None,
    finished_at=None,
    lease_owner="conductor",
    lease_until=None,
    task_count=1,
    counts={},
)


@pytest.fixture
def notifier():
    return MemoryNotifier()


@pytest.fixture
def announcer(notifier):
    return Announcer(notifier=notifier, origin="here")


def test_start_and_end_have_the_metadata_that_the_job_has(announcer, notifier):
    job = replace(JOB, aggregate_metadata={"availability_zone": "az"})

    announcer.started(job, ["cmp-1"])
    announcer.ended(job, ["cmp-1"])

    assert [sent.payload["nova_object.data"]["metadata"] for sent in notifier.sent] == [{"availability_zone": "az"}] * 2


def test_a_job_that_an_older_release_stored_is_announced_without_metadata(announcer, notifier):
    announcer.ended(JOB, ["cmp-1"])

    [sent] = notifier.sent
    assert sent.event_type == "aggregate.cache_images.end"
    assert sent.payload["nova_object.data"]["metadata"] == {}


@pytest.mark.parametrize(
    "target",
    [
        {"for_host": "cmp-1", "target": Target(hosts=("cmp-1",))},
        {"target": Target(aggregates=("web",), exclude_hosts=("cmp-2",))},
        {"target": Target(aggregates=("web", "edge"))},
        {"target": Target(cells=("cell1",))},
    ],
)
def test_a_job_for_anything_but_one_aggregate_is_not_announced(announcer, notifier, target):
    job = replace(JOB, aggregate_id=0, aggregate_uuid="", aggregate_name="", **target)

    announcer.started(job, ["cmp-1"])
    announcer.host_ended(job, "cmp-1", [], 1, 1)
    announcer.ended(job, ["cmp-1"])

    assert notifier.sent == []


@pytest.mark.parametrize("operation", [each for each in Operation if each is not Operation.CACHE])
def test_novas_notifications_are_of_no_other_operation(announcer, notifier, operation):
    job = replace(JOB, operation=operation)

    announcer.started(job, ["cmp-1"])
    announcer.host_ended(job, "cmp-1", [], 1, 1)
    announcer.ended(job, ["cmp-1"])

    assert notifier.sent == []
