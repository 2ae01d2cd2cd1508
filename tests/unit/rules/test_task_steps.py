"""What a task becomes at each step of its life."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import IllegalTransition, TaskNotFound
from precache.core.images import parse_image_id
from precache.core.jobs import HostAsked, HostEnded, HostPutBack, Outcome, Phase, Task, TaskResult, TaskState
from precache.rules.task_steps import after, ended, put_back, started, tried_again

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
OTHER = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
WAITING = Task(
    job_id="1",
    host="cmp-1",
    cell=None,
    image=IMAGE,
    state=TaskState.WAITING,
    outcome=None,
    phase=Phase.WAITING,
    bytes_done=0,
    bytes_total=0,
    attempts=0,
    reason="",
    started_at=None,
    finished_at=None,
)

RESULTS = st.builds(
    TaskResult,
    image=st.just(IMAGE),
    outcome=st.sampled_from(Outcome),
    bytes_moved=st.integers(0, 2**50),
    reason=st.text(max_size=20),
    started_at=st.none() | st.just(NOW),
    finished_at=st.none() | st.just(LATER),
)


def running(*, bytes_done=0, bytes_total=0):
    return Task(
        **{
            **{field: getattr(WAITING, field) for field in Task.__dataclass_fields__},
            "state": TaskState.RUNNING,
            "started_at": NOW,
            "bytes_done": bytes_done,
            "bytes_total": bytes_total,
        }
    )


def test_every_start_counts_one_attempt():
    once = started(WAITING, "cell1", NOW)
    twice = started(put_back(once), "cell2", LATER)

    assert (once.state, once.attempts, once.cell, once.started_at) == (TaskState.RUNNING, 1, "cell1", NOW)
    assert (twice.attempts, twice.cell, twice.started_at) == (2, "cell2", LATER)


def test_a_task_put_back_keeps_only_attempts_and_cell():
    again = put_back(started(WAITING, "cell1", NOW))

    assert (again.state, again.phase, again.bytes_done, again.started_at) == (WAITING.state, Phase.WAITING, 0, None)
    assert (again.attempts, again.cell) == (1, "cell1")


@pytest.mark.parametrize(
    ("outcome", "moved", "noted", "kept"),
    [
        (Outcome.CACHED, 100, 90, 100),
        (Outcome.EXISTING, 0, 90, 0),
        (Outcome.ERROR, 0, 90, 90),
        (Outcome.ERROR, 95, 90, 95),
    ],
)
def test_the_host_result_counts_unless_it_failed_and_had_more_bytes_before(outcome, moved, noted, kept):
    task = ended(running(bytes_done=noted, bytes_total=100), TaskResult(IMAGE, outcome, moved), LATER)

    assert (task.bytes_done, task.bytes_total) == (kept, 100)


@given(RESULTS)
def test_an_ended_task_has_its_outcome_and_a_time_and_no_more_bytes_than_its_total(result):
    task = ended(running(), result, LATER)

    assert (task.state, task.outcome, task.reason) == (TaskState.ENDED, result.outcome, result.reason)
    assert (task.started_at, task.finished_at) == (NOW, LATER)
    assert task.bytes_done <= task.bytes_total


@given(RESULTS, RESULTS)
def test_a_task_that_ended_keeps_its_first_outcome(first, second):
    task = ended(WAITING, first, NOW)

    assert ended(task, second, LATER) == task


def test_a_start_reported_twice_counts_once_and_changes_no_task_that_has_ended():
    once = started(WAITING, "cell1", NOW)
    over = ended(once, TaskResult(IMAGE, Outcome.CACHED, 5, started_at=LATER), LATER)

    assert started(once, "cell1", NOW) == once
    assert started(over, "cell1", NOW) == over


def test_a_step_moves_its_own_tasks_and_gives_all_of_the_host_their_cell():
    other = replace(WAITING, image=OTHER)

    tasks = after({IMAGE: WAITING, OTHER: other}, HostAsked("cmp-1", "cell1", (IMAGE,), NOW), "1")
    moved = after(tasks, HostEnded("cmp-1", (TaskResult(OTHER, Outcome.SKIPPED),), LATER), "1")

    assert tasks == {IMAGE: started(WAITING, "cell1", NOW), OTHER: replace(other, cell="cell1")}
    assert moved == {IMAGE: tasks[IMAGE], OTHER: ended(tasks[OTHER], TaskResult(OTHER, Outcome.SKIPPED), LATER)}


@pytest.mark.parametrize(("is_failure", "failures"), [(False, 0), (True, 1)])
def test_a_task_that_is_tried_again_keeps_what_its_host_has_kept(is_failure, failures):
    of_host = {IMAGE: running(bytes_done=60, bytes_total=100)}

    task = after(of_host, HostPutBack("cmp-1", {IMAGE: 50}, LATER, is_failure, "it broke"), "1")[IMAGE]

    assert (task.state, task.outcome, task.reason, task.failures) == (TaskState.WAITING, None, "it broke", failures)
    assert (task.bytes_done, task.bytes_total) == (50, 100)


def test_a_task_that_goes_on_shows_what_its_host_has_kept():
    kept = tried_again(running(bytes_done=50, bytes_total=90), 40, "", is_failure=False)

    again = started(kept, "cell1", LATER)

    assert (again.bytes_done, again.bytes_total, again.started_at) == (40, 90, LATER)


def test_an_attempt_that_is_recorded_twice_counts_once_and_fails_once():
    steps = [HostAsked("cmp-1", "cell1", (IMAGE,), NOW), HostPutBack("cmp-1", {IMAGE: 0}, LATER, is_failure=True)]
    tasks = {IMAGE: WAITING}

    for step in [*steps, *steps]:
        tasks = after(tasks, step, "1")

    assert (tasks[IMAGE].state, tasks[IMAGE].attempts, tasks[IMAGE].failures) == (TaskState.WAITING, 1, 1)


def test_a_task_that_has_ended_is_not_tried_again():
    over = ended(WAITING, TaskResult(IMAGE, Outcome.CACHED), NOW)

    assert after({IMAGE: over}, HostPutBack("cmp-1", {IMAGE: 5}, LATER), "1") == {IMAGE: over}


def test_a_step_for_an_image_that_is_not_asked_of_the_host_names_job_host_and_image():
    for step in (
        HostAsked("cmp-1", "cell1", (IMAGE, OTHER), NOW),
        HostEnded("cmp-1", (TaskResult(OTHER, Outcome.CACHED),), NOW),
    ):
        with pytest.raises(TaskNotFound, match=f"Job 1 has no task for image {OTHER} on host cmp-1"):
            after({IMAGE: WAITING}, step, "1")


def test_steps_that_are_not_in_the_table_are_refused():
    over = ended(WAITING, TaskResult(IMAGE, Outcome.SKIPPED), NOW)

    for step in (
        lambda: started(running(), "cell1", LATER),
        lambda: put_back(WAITING),
        lambda: put_back(over),
    ):
        with pytest.raises(IllegalTransition):
            step()
