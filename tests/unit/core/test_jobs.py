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

QUEUED, WAITING, RUNNING, PAUSED, SUCCEEDED, PARTLY_FAILED, FAILED, CANCELLED, EXPIRED = JobState

LEGAL_FOR_JOBS = {
    *((QUEUED, state) for state in (WAITING, RUNNING, PAUSED, CANCELLED)),
    *((WAITING, state) for state in (QUEUED, RUNNING, PAUSED, CANCELLED)),
    *((PAUSED, state) for state in (QUEUED, WAITING, RUNNING, CANCELLED)),
    *((RUNNING, state) for state in JobState if state is not RUNNING),
    # Tried again by an operator.
    *((state, QUEUED) for state in (PARTLY_FAILED, FAILED, CANCELLED, EXPIRED)),
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


def test_a_job_has_ended_in_five_states():
    assert {state for state in JobState if state.is_final} == {SUCCEEDED, PARTLY_FAILED, FAILED, CANCELLED, EXPIRED}


def test_a_success_is_what_the_operation_was_asked_for():
    successes = {outcome for outcome in Outcome if outcome.is_success}
    assert successes == {"cached", "existing", "intact", "unverifiable", "purged", "absent", "pinned", "unpinned"}


def test_outcomes_are_the_five_of_nova_two_of_stopped_jobs_and_those_of_other_operations():
    of_caching = {"cached", "existing", "unsupported", "error", "skipped", "cancelled", "expired"}
    of_others = {"intact", "corrupt", "unverifiable", "purged", "absent", "in_use", "pinned", "unpinned"}
    assert set(Outcome) == of_caching | of_others


def test_a_refused_step_says_from_where_to_where():
    with pytest.raises(IllegalTransition, match="A job cannot go from failed to running"):
        check_job_transition(FAILED, RUNNING)


def is_allowed(check, old, new):
    try:
        check(old, new)
    except IllegalTransition:
        return False
    return True
