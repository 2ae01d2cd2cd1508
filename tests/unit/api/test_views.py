"""What the API shows of a job and of a task."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from precache.api.handlers.views import JobViews, rfc3339
from precache.api.schemas.document import load_document
from precache.core.images import parse_image_id
from precache.core.job_progress import ImageProgress, Progress
from precache.core.jobs import Job, JobState, Outcome, Phase, Task, TaskState
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.targets import Target

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

VIEWS = JobViews(load_document())

HALF = Progress(
    task_states={TaskState.RUNNING: 1, TaskState.ENDED: 1},
    counts={Outcome.CACHED: 1},
    bytes_done=11,
    bytes_total=16,
    bytes_left=5,
    rate_bytes_per_s=2,
)

JOB = Job(
    id="a-job",
    name="friday",
    target=Target(aggregates=("web",)),
    aggregate_id=7,
    aggregate_uuid="a-uuid",
    aggregate_name="web",
    orders=(ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=5)),),
    state=JobState.RUNNING,
    requested_by="a-user",
    request_id="req-1",
    created_at=NOON,
    started_at=NOON + timedelta(seconds=1),
    finished_at=None,
    lease_owner="a-conductor",
    lease_until=NOON,
    task_count=2,
    counts={Outcome.CACHED: 1},
    progress=HALF,
    by_image=(ImageProgress(image=IMAGE, size_bytes=8, progress=HALF),),
    image_names={IMAGE: "debian-12"},
)
TASK = Task(
    job_id="a-job",
    host="cmp-1",
    cell="cell1",
    image=IMAGE,
    state=TaskState.RUNNING,
    outcome=None,
    phase=Phase.DOWNLOADING,
    bytes_done=3,
    bytes_total=4,
    attempts=3,
    failures=2,
    reason="",
    started_at=NOON,
    finished_at=None,
    image_name="debian-12",
    reported_at=NOON,
    rate_bytes_per_s=2,
)


HALF_VIEW = {
    "task_states": {"running": 1, "ended": 1},
    "counts": {"cached": 1},
    "bytes_done": 11,
    "bytes_total": 16,
    "rate_bytes_per_s": 2,
    "eta_s": 3,
}


def test_a_job_in_a_list_is_shown_without_what_may_be_large() -> None:
    whole, listed = VIEWS.job(JOB), VIEWS.listed_job(JOB)

    assert {field: whole[field] for field in listed} == listed
    assert whole.keys() - listed.keys() == {"target", "orders", "by_image"}


def test_a_job_is_shown_without_its_lease() -> None:
    view = VIEWS.job(JOB)

    assert (
        view.items()
        >= {
            "id": "a-job",
            "name": "friday",
            "target": {"aggregates": ["web"], "cells": [], "hosts": [], "exclude_hosts": []},
            "state": "running",
            "aggregate": {"id": 7, "uuid": "a-uuid", "name": "web"},
            "host": None,
            "images": [IMAGE],
            "orders": [{"image": IMAGE, "rate_limit_bytes_per_s": 5}],
            "image_names": {IMAGE: "debian-12"},
            "requested_by": "a-user",
            "request_id": "req-1",
            "created_at": "2026-11-22T12:00:00.000000Z",
            "started_at": "2026-11-22T12:00:01.000000Z",
            "finished_at": None,
            "task_count": 2,
            **HALF_VIEW,
            "by_image": [{"image": IMAGE, "size_bytes": 8, **HALF_VIEW}],
        }.items()
    )
    assert not [field for field in view if "lease" in field]


def test_a_job_for_one_host_has_no_aggregate() -> None:
    view = VIEWS.job(replace(JOB, aggregate_id=0, aggregate_uuid="", aggregate_name="", for_host="cmp-1"))

    assert (view["aggregate"], view["host"]) == (None, "cmp-1")


def test_a_job_for_anything_else_has_neither_aggregate_nor_host() -> None:
    target = Target(cells=("cell1",), exclude_hosts=("cmp-1",))

    view = VIEWS.job(replace(JOB, aggregate_id=0, aggregate_uuid="", aggregate_name="", target=target))

    assert (view["aggregate"], view["host"]) == (None, None)
    assert view["target"] == {"aggregates": [], "cells": ["cell1"], "hosts": [], "exclude_hosts": ["cmp-1"]}


def test_a_task_is_shown_with_every_field() -> None:
    assert VIEWS.task(TASK) == {
        "job_id": "a-job",
        "host": "cmp-1",
        "cell": "cell1",
        "image": IMAGE,
        "image_name": "debian-12",
        "state": "running",
        "outcome": None,
        "phase": "downloading",
        "bytes_done": 3,
        "bytes_total": 4,
        "parent": None,
        "bytes_from": None,
        "decoded_by": "",
        "rate_bytes_per_s": 2,
        "eta_s": 1,
        "reported_at": "2026-11-22T12:00:00.000000Z",
        "attempts": 3,
        "failures": 2,
        "reason": "",
        "started_at": "2026-11-22T12:00:00.000000Z",
        "finished_at": None,
    }


def test_a_task_that_does_not_run_has_no_phase() -> None:
    view = VIEWS.task(replace(TASK, state=TaskState.ENDED, outcome=Outcome.ERROR))

    assert (view["state"], view["outcome"], view["phase"]) == ("ended", "error", None)


def test_words_are_plain_text_in_a_view() -> None:
    view = VIEWS.job(JOB)

    assert type(view["state"]) is str
    assert {type(outcome) for outcome in view["counts"]} == {str}


def test_an_instant_is_shown_in_utc() -> None:
    assert rfc3339(datetime(2026, 11, 22, 13, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-22T12:00:00.000000Z"
    assert rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"
    assert rfc3339(None) is None
