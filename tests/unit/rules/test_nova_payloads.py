"""The payloads, field by field, against Nova's published samples."""

from datetime import UTC, datetime

from precache.core.images import parse_image_id
from precache.core.jobs import JobRequest, Outcome, TaskResult
from precache.rules.nova_payloads import aggregate_payload, cache_progress_payload

IMAGE = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
UUID = "788608ec-ebdc-45c5-bc7f-e5f24ab92c80"
JOB = JobRequest(
    id="1",
    aggregate_id=1,
    aggregate_uuid=UUID,
    aggregate_name="my-aggregate",
    aggregate_metadata={"availability_zone": "nova"},
    orders=(),
    requested_by="operator",
    request_id="req-1",
    created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


def test_start_and_end_are_novas_aggregate_payload():
    payload = aggregate_payload(JOB, ["compute"])

    assert payload == {
        "nova_object.name": "AggregatePayload",
        "nova_object.namespace": "nova",
        "nova_object.version": "1.1",
        "nova_object.data": {
            "name": "my-aggregate",
            "metadata": {"availability_zone": "nova"},
            "uuid": UUID,
            "hosts": ["compute"],
            "id": 1,
        },
    }


def test_progress_is_novas_aggregate_cache_payload():
    payload = cache_progress_payload(JOB, "compute", [TaskResult(IMAGE, Outcome.CACHED)], index=1, total=1)

    assert payload == {
        "nova_object.name": "AggregateCachePayload",
        "nova_object.namespace": "nova",
        "nova_object.version": "1.0",
        "nova_object.data": {
            "name": "my-aggregate",
            "uuid": UUID,
            "host": "compute",
            "total": 1,
            "index": 1,
            "images_cached": [IMAGE],
            "images_failed": [],
            "id": 1,
        },
    }


def test_every_outcome_counts_as_cached_or_failed_as_in_nova():
    listed = {}
    for outcome in list(Outcome)[:7]:  # those of jobs that cache
        payload = cache_progress_payload(JOB, "compute", [TaskResult(IMAGE, outcome)], index=1, total=1)
        data = payload["nova_object.data"]
        listed[outcome] = "cached" if data["images_cached"] == [IMAGE] else "failed"
        assert len(data["images_cached"]) + len(data["images_failed"]) == 1

    assert {outcome for outcome, where in listed.items() if where == "cached"} == {Outcome.CACHED, Outcome.EXISTING}
