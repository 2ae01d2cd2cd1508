"""What is told of a job that is looked at while it waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.core.images import parse_image_id
from precache.core.job_notices import JobEvent, JobNotice
from precache.core.jobs import Job, JobState
from precache.core.orders import ImageOrder
from precache.rules.quiet_notices import HOLD, without_looks

AT = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = (ImageOrder(parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")),)
DOWN = "1 host is down"


def notices(*changes, job="job", first=1, age=timedelta()):
    """Return notices of one job. changes: of an event with its reason."""
    made, state, reason = [], None, ""
    for number, change in enumerate(changes, first):
        event, new_reason = change if isinstance(change, tuple) else (change, "")
        record = Job(id=job, orders=ORDERS, requested_by="", request_id="", created_at=AT, task_count=1)
        made.append(JobNotice(number, record, JobEvent(event), AT, new_reason, False, state, reason, age))
        state, reason = made[-1].event.state, new_reason
    return made


def numbers(found):
    return [notice.number for notice in found]


@pytest.mark.parametrize(
    ("changes", "send", "drop"),
    [
        (["queued", "running", "succeeded"], [1, 2, 3], []),
        (["queued", "running", ("waiting", DOWN), "running", ("waiting", DOWN)], [1, 2, 3], [4, 5]),
        ([("waiting", DOWN), *["running", ("waiting", DOWN)] * 3], [1], [2, 3, 4, 5, 6, 7]),
        ([("waiting", DOWN), "running", ("waiting", "2 hosts are down")], [1, 3], [2]),
        ([("waiting", DOWN), "running", "succeeded"], [1, 2, 3], []),
        ([("waiting", DOWN), "running", "queued"], [1, 2, 3], []),
        ([("waiting", DOWN), "running", "paused"], [1, 2, 3], []),
        (["paused", "running", "paused"], [1], [2, 3]),
        ([("waiting", DOWN), "running"], [1], []),
        (["queued", "running"], [1, 2], []),
        (["failed", "retried", "running"], [1, 2, 3], []),
    ],
)
def test_a_look_at_a_waiting_job_is_no_news(changes, send, drop):
    found = without_looks(notices(*changes))

    assert (numbers(found.send), numbers(found.drop)) == (send, drop)


def test_that_a_job_goes_on_is_told_in_time():
    young, old = (notices(("waiting", DOWN), "running", age=age) for age in (HOLD - timedelta(seconds=1), HOLD))

    assert numbers(without_looks(young).send) == [1]
    assert numbers(without_looks(old).send) == [1, 2]


def test_jobs_are_independent():
    one = notices(("waiting", DOWN), "running", ("waiting", DOWN), job="one")
    two = notices("queued", "running", job="two", first=4)

    assert numbers(without_looks([one[0], two[0], one[1], two[1], one[2]]).send) == [1, 4, 5]


def test_all_events_without_a_wait_are_sent_as_they_are():
    every = [notices(event, job=event, first=number)[0] for number, event in enumerate(JobEvent, 1)]

    assert without_looks(every).send == tuple(every)
    assert {notice.event.state for notice in every} == set(JobState)


@pytest.mark.parametrize(("requested_at", "sent"), [(AT - timedelta(seconds=1), [1, 3]), (AT, [1, 2, 3])])
@pytest.mark.parametrize("state", ["queued", "paused"])
def test_that_a_conductor_ends_a_cancelled_job_is_not_told_as_running(state, requested_at, sent):
    cancelled = [
        replace(notice, job=replace(notice.job, cancel_requested_at=requested_at))
        for notice in notices(state, "running", "cancelled")
    ]

    assert numbers(without_looks(cancelled).send) == sent
