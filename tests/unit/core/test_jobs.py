"""The states of jobs and tasks change along their tables and in no other way."""

import itertools

import pytest

from precache.core.errors import IllegalTransition
from precache.core.jobs import (
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    JobState,
    Outcome,
    TaskState,
    check_job_transition,
    check_task_transition,
)

QUEUED, RUNNING, SUCCEEDED, PARTLY_FAILED, FAILED, CANCELLED = JobState

LEGAL_FOR_JOBS = {
    (QUEUED, RUNNING),
    (QUEUED, CANCELLED),
    (RUNNING, QUEUED),
    (RUNNING, SUCCEEDED),
    (RUNNING, PARTLY_FAILED),
    (RUNNING, FAILED),
    (RUNNING, CANCELLED),
}

LEGAL_FOR_TASKS = {
    (TaskState.WAITING, TaskState.RUNNING),
    (TaskState.WAITING, TaskState.ENDED),
    (TaskState.RUNNING, TaskState.WAITING),
    (TaskState.RUNNING, TaskState.ENDED),
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, JobState)))
def test_a_job_moves_only_along_its_table(old, new):
    assert is_allowed(check_job_transition, old, new) == ((old, new) in LEGAL_FOR_JOBS)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TaskState, TaskState)))
def test_a_task_moves_only_along_its_table(old, new):
    assert is_allowed(check_task_transition, old, new) == ((old, new) in LEGAL_FOR_TASKS)


def test_every_state_has_its_line_in_a_table():
    assert set(JOB_TRANSITIONS) == set(JobState)
    assert set(TASK_TRANSITIONS) == set(TaskState)


def test_a_final_job_never_changes():
    assert {state for state in JobState if state.is_final} == {SUCCEEDED, PARTLY_FAILED, FAILED, CANCELLED}


def test_an_image_is_in_the_cache_after_cached_and_existing_only():
    assert {outcome for outcome in Outcome if outcome.is_success} == {Outcome.CACHED, Outcome.EXISTING}


def test_outcomes_are_the_five_of_nova_and_one_more():
    assert set(Outcome) == {"cached", "existing", "unsupported", "error", "skipped", "cancelled"}


def test_a_refused_step_says_from_where_to_where():
    with pytest.raises(IllegalTransition, match="A job cannot go from failed to running"):
        check_job_transition(FAILED, RUNNING)


def is_allowed(check, old, new):
    try:
        check(old, new)
    except IllegalTransition:
        return False
    return True
