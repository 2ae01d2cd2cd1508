"""What is told of a job whose aggregate cannot be looked up."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from precache.adapters.notifier_memory import MemoryNotifier
from precache.conductor.announce import Announcer
from precache.core.errors import AggregateNotFound, InventoryUnavailable
from precache.core.images import parse_image_id
from precache.core.jobs import Job, JobState
from precache.core.orders import CacheOrder

JOB = Job(
    id="job",
    aggregate_id=1,
    aggregate_uuid="788608ec-ebdc-45c5-bc7f-e5f24ab92c80",
    aggregate_name="edge",
    orders=(CacheOrder(parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")),),
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


class Failing:
    def __init__(self, error):
        self._error = error

    def get_aggregate(self, aggregate_id):
        raise self._error


def announcer_over(error):
    notifier = MemoryNotifier()
    return Announcer(notifier=notifier, aggregates=Failing(error), origin="here"), notifier


def test_the_end_is_told_without_metadata_while_the_inventory_is_away():
    announcer, notifier = announcer_over(InventoryUnavailable("http://nova/v2.1", "connection refused"))

    announcer.ended(JOB, ["cmp-1"])

    [told] = notifier.sent
    assert told.event_type == "aggregate.cache_images.end"
    assert told.payload["nova_object.data"]["metadata"] == {}


def test_a_job_does_not_start_while_the_inventory_is_away():
    announcer, notifier = announcer_over(InventoryUnavailable("http://nova/v2.1", "connection refused"))

    with pytest.raises(InventoryUnavailable):
        announcer.started(JOB, ["cmp-1"])

    assert list(notifier.sent) == []


def test_start_and_end_are_told_of_an_aggregate_that_was_deleted():
    announcer, notifier = announcer_over(AggregateNotFound(1))

    announcer.started(JOB, ["cmp-1"])
    announcer.ended(JOB, ["cmp-1"])

    assert len(notifier.sent) == 2


def test_a_job_for_one_host_is_not_told_as_one_of_an_aggregate():
    announcer, notifier = announcer_over(AggregateNotFound(0))
    job = replace(JOB, aggregate_id=0, aggregate_uuid="", aggregate_name="", for_host="cmp-1")

    announcer.started(job, ["cmp-1"])
    announcer.host_ended(job, "cmp-1", [], 1, 1)
    announcer.ended(job, ["cmp-1"])

    assert notifier.sent == []
