"""The documented payload of the notifications of jobs."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from precache.core.images import parse_image_id
from precache.core.job_notices import JobEvent, JobNotice
from precache.core.jobs import Job, JobState, Outcome
from precache.core.orders import ImageOrder
from precache.core.targets import Target
from precache.rules.job_payloads import job_payload, webhook_body

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")


def notice(event, **fields):
    job = Job(
        id="0b6f3c5a-9a44-4f0a-8f0e-0a8a0f3c2a11",
        name="friday-rollout",
        target=Target(aggregates=("edge",), hosts=tuple(f"cmp-{number}" for number in range(500))),
        orders=(ImageOrder(IMAGE),),
        image_names={IMAGE: "debian-12"},
        requested_by="admin",
        request_id="req-1",
        created_at=AT - timedelta(hours=1),
        task_count=502,
        counts={Outcome.CACHED: 500, Outcome.ERROR: 2},
        **fields,
    )
    return JobNotice(17, job, event, AT, "2 hosts failed")


def test_a_payload_has_the_documented_fields():
    payload = job_payload(notice(JobEvent.PARTLY_FAILED, state=JobState.PARTLY_FAILED, started_at=AT, finished_at=AT))

    assert payload == {
        "precache_object.name": "JobPayload",
        "precache_object.namespace": "precache",
        "precache_object.version": "1.1",
        "precache_object.data": {
            "notice_id": "0b6f3c5a-9a44-4f0a-8f0e-0a8a0f3c2a11-17",
            "at": "2026-03-01T12:00:00.123456Z",
            "job_id": "0b6f3c5a-9a44-4f0a-8f0e-0a8a0f3c2a11",
            "name": "friday-rollout",
            "operation": "cache",
            "state": "partly_failed",
            "reason": "2 hosts failed",
            "target": {"aggregates": ["edge"], "cells": []},
            "images": [IMAGE],
            "image_names": {IMAGE: "debian-12"},
            "host_count": 502,
            "task_count": 502,
            "counts": {"cached": 500, "error": 2},
            "priority": 50,
            "retry_count": 0,
            "requested_by": "admin",
            "request_id": "req-1",
            "created_at": "2026-03-01T11:00:00.123456Z",
            "started_at": "2026-03-01T12:00:00.123456Z",
            "finished_at": "2026-03-01T12:00:00.123456Z",
        },
    }


@pytest.mark.parametrize("event", JobEvent)
def test_a_payload_has_the_state_of_its_event_also_if_the_job_has_gone_on(event):
    data = job_payload(notice(event, state=JobState.RUNNING))["precache_object.data"]

    assert data["state"] == ("queued" if event is JobEvent.RETRIED else event.value)
    assert event.type == f"precache.job.{event.value}"


@pytest.mark.parametrize("state", JobState)
def test_every_state_has_an_event(state):
    assert JobEvent.of(None, state).state is state


def test_a_final_state_is_only_left_by_a_retry():
    assert {JobEvent.of(state, JobState.QUEUED) for state in JobState if state.is_final} == {JobEvent.RETRIED}
    assert JobEvent.of(JobState.RUNNING, JobState.QUEUED) is JobEvent.QUEUED


def test_a_webhook_gets_the_same_payload():
    one = notice(JobEvent.FAILED)

    body = json.loads(webhook_body(one, "precache-conductor:ctl-1"))

    assert body == {
        "event_type": "precache.job.failed",
        "publisher_id": "precache-conductor:ctl-1",
        "payload": job_payload(one),
    }
