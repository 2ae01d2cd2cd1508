"""Rate and time left of a job."""

from __future__ import annotations

import io

import pytest

from precache.cli.wait.plain import PlainView
from precache.cli.wait.rate_estimate import RateEstimate
from precache.cli.wait.snapshot import Snapshot
from tests.unit.cli.stub_service import job, task

MIB = 1024**2


def looked_at(*tasks):
    return Snapshot(job("running", *tasks), list(tasks))


def loading(host, mebibytes, total=100):
    return task(host, state="running", bytes_done=mebibytes * MIB, bytes_total=total * MIB)


def test_nothing_is_said_before_the_second_look():
    rate = RateEstimate()
    assert rate.text() == ""

    rate.add(looked_at(loading("cmp-1", 10)), 5.0)

    assert rate.text() == ""


def test_rate_and_time_left_follow_from_what_moved():
    rate = RateEstimate()
    rate.add(looked_at(loading("cmp-1", 10), loading("cmp-2", 0)), 0.0)

    rate.add(looked_at(loading("cmp-1", 30), loading("cmp-2", 20)), 2.0)

    # 40 MiB in 2 s: a fifth of each of two tasks; 1.5 tasks are left.
    assert rate.text() == "20.0 MiB/s, about 8 s left"


def test_a_job_without_progress_has_no_estimate():
    rate = RateEstimate()
    for second in range(40):
        rate.add(looked_at(loading("cmp-1", min(second, 10))), float(second))

    assert rate.bytes_per_s == 0
    assert rate.text() == ""


def test_a_task_that_ended_keeps_its_bytes_and_counts_whole():
    rate = RateEstimate()
    rate.add(looked_at(loading("cmp-1", 50), task("cmp-2")), 0.0)

    rate.add(looked_at(task("cmp-1", outcome="cached", bytes_done=100 * MIB), task("cmp-2")), 10.0)

    assert rate.text() == "5.0 MiB/s, about 20 s left"


def test_a_task_that_is_asked_again_takes_no_bytes_back():
    rate = RateEstimate()
    rate.add(looked_at(loading("cmp-1", 50)), 0.0)

    rate.add(looked_at(loading("cmp-1", 0)), 1.0)

    assert rate.text() == ""


@pytest.mark.parametrize(
    ("state", "cancel_requested_at"), [("running", "2026-01-02T03:04:06Z"), ("cancelled", "x"), ("succeeded", None)]
)
def test_a_job_that_has_ended_or_is_being_cancelled_has_no_estimate(state, cancel_requested_at):
    rate = RateEstimate()
    rate.add(looked_at(loading("cmp-1", 10)), 0.0)
    tasks = [loading("cmp-1", 30)]

    rate.add(Snapshot(job(state, *tasks) | {"cancel_requested_at": cancel_requested_at}, tasks), 2.0)

    assert rate.text() == ""


def test_long_times_are_reported_in_minutes_and_hours():
    rate = RateEstimate()
    rate.add(looked_at(loading("cmp-1", 0, 100_000)), 0.0)
    rate.add(looked_at(loading("cmp-1", 100, 100_000)), 1.0)
    assert rate.text().endswith("about 17 min left")

    slow = RateEstimate()
    slow.add(looked_at(loading("cmp-1", 0, 100_000)), 0.0)
    slow.add(looked_at(loading("cmp-1", 100, 100_000)), 10.0)
    assert slow.text().endswith("about 3 h left")


def test_a_log_gets_the_pace_every_half_minute():
    stream, now = io.StringIO(), [0.0]
    view = PlainView(stream=stream, labels={}, clock=lambda: now[0])

    for second in range(61):
        now[0] = float(second)
        view.show(looked_at(loading("cmp-1", second), task("cmp-2")))

    assert stream.getvalue().startswith("Job 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 is running, 2 tasks\n")
    told = [line for line in stream.getvalue().splitlines() if "/s" in line]
    assert told == [
        "0 of 2 ended; 1.0 MiB/s, about 3 min left",
        "0 of 2 ended; 1.0 MiB/s, about 2 min left",
    ]
