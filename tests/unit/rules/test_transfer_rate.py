"""The rate of a task from the reports of its host."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import parse_image_id
from precache.core.jobs import Task, TaskState
from precache.rules.transfer_rate import RECENT, measured_rate, with_current_rate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TASK = Task(
    job_id="1",
    host="cmp-1",
    cell="cell1",
    image=parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b"),
    state=TaskState.RUNNING,
    bytes_done=1000,
    reported_at=NOW,
)


def reported(task, reports):
    """Return the task after reports, each so many seconds and bytes after the one before."""
    for seconds, count in reports:
        at, done = task.reported_at + seconds * SECOND, task.bytes_done + count
        task = replace(task, rate_bytes_per_s=measured_rate(task, done, at), bytes_done=done, reported_at=at)
    return task


def test_the_first_report_gives_no_rate_and_the_second_one_does():
    assert measured_rate(replace(TASK, reported_at=None), 5000, NOW) is None
    assert measured_rate(TASK, 3000, NOW + 2 * SECOND) == 1000


@given(st.integers(1, 2**40), st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_a_steady_download_has_its_rate_however_often_the_host_reports(rate, pauses):
    assert reported(TASK, [(pause, rate * pause) for pause in pauses]).rate_bytes_per_s == rate


@given(st.lists(st.tuples(st.floats(0.01, 60), st.integers(0, 2**40)), min_size=1, max_size=20))
def test_a_rate_lies_between_the_slowest_and_the_fastest_that_was_seen(reports):
    seen = [count / (seconds * SECOND / SECOND) for seconds, count in reports]

    assert round(min(seen)) - 1 <= (reported(TASK, reports).rate_bytes_per_s or 0) <= round(max(seen)) + 1


def test_the_time_before_the_first_byte_does_not_count():
    resumed = [(1, 0), (1, 0), (1, 2000), (1, 2000)]

    assert reported(TASK, resumed[:2]).rate_bytes_per_s is None
    assert reported(TASK, resumed).rate_bytes_per_s == 2000


def test_a_stalled_download_has_almost_no_rate_after_half_a_minute():
    assert reported(TASK, [(1, 10_000)] + 30 * [(1, 0)]).rate_bytes_per_s < 100


def test_neither_a_clock_that_goes_back_nor_a_download_that_begins_again_gives_a_negative_rate():
    known = replace(TASK, rate_bytes_per_s=70)

    assert measured_rate(known, 2000, NOW) == measured_rate(known, 2000, NOW - SECOND) == 70
    assert measured_rate(TASK, 10, NOW + SECOND) is None


def test_a_rate_is_known_for_as_long_as_the_report_is_recent():
    known = replace(TASK, rate_bytes_per_s=70)

    assert with_current_rate(known, NOW + RECENT) == known
    assert with_current_rate(known, NOW + RECENT + SECOND).rate_bytes_per_s is None
