"""How a job ended follows from the outcomes of its tasks alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.jobs import JobState, Outcome
from precache.rules.verdict import verdict

CACHED, EXISTING, UNSUPPORTED, ERROR, SKIPPED, CANCELLED, EXPIRED = list(Outcome)[:7]

OUTCOMES = st.lists(st.sampled_from(Outcome), max_size=12)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([], JobState.SUCCEEDED),
        ([CACHED], JobState.SUCCEEDED),
        ([CACHED, EXISTING], JobState.SUCCEEDED),
        ([CACHED, ERROR], JobState.PARTLY_FAILED),
        ([EXISTING, SKIPPED], JobState.PARTLY_FAILED),
        ([UNSUPPORTED, CACHED], JobState.PARTLY_FAILED),
        ([ERROR], JobState.FAILED),
        ([SKIPPED, UNSUPPORTED, ERROR], JobState.FAILED),
        ([CANCELLED], JobState.CANCELLED),
        ([CACHED, ERROR, CANCELLED], JobState.CANCELLED),
        ([CACHED, EXPIRED], JobState.EXPIRED),
        ([CANCELLED, EXPIRED], JobState.CANCELLED),
        ([Outcome.INTACT, Outcome.UNVERIFIABLE, Outcome.ABSENT], JobState.SUCCEEDED),
        ([Outcome.INTACT, Outcome.CORRUPT], JobState.PARTLY_FAILED),
        ([Outcome.PURGED, Outcome.ABSENT], JobState.SUCCEEDED),
        ([Outcome.PURGED, Outcome.IN_USE], JobState.PARTLY_FAILED),
        ([Outcome.IN_USE], JobState.FAILED),
        ([Outcome.PINNED, Outcome.UNPINNED], JobState.SUCCEEDED),
    ],
)
def test_the_verdict_is(outcomes, state):
    assert verdict(outcomes) is state


@given(OUTCOMES)
def test_every_job_gets_a_final_state(outcomes):
    assert verdict(outcomes).is_final


@given(OUTCOMES, st.randoms(use_true_random=False))
def test_the_order_in_which_tasks_ended_does_not_matter(outcomes, random):
    shuffled = list(outcomes)
    random.shuffle(shuffled)

    assert verdict(iter(shuffled)) is verdict(outcomes)


@given(OUTCOMES)
def test_a_job_succeeded_exactly_if_every_task_did(outcomes):
    assert (verdict(outcomes) is JobState.SUCCEEDED) == all(outcome.is_success for outcome in outcomes)
