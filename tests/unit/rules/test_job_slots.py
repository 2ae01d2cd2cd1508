"""Which priority a job must have to be claimed while others run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.job_slots import MOST_TIMES_THE_SLOTS, least_priority

PRIORITIES = st.integers(0, 100)


@pytest.mark.parametrize(
    ("running", "slots", "least"),
    [
        ([], 2, 0),
        ([100], 2, 0),
        ([50, 50], 2, 51),
        ([60, 50], 2, 51),
        ([60, 50, 50], 2, 51),
        ([60, 60, 50, 50], 2, 61),
        ([100, 100], 2, None),
        ([1, 2, 3, 4], 1, None),
    ],
)
def test_least_priority(running, slots, least):
    assert least_priority(running, slots) == least


@given(st.lists(PRIORITIES, max_size=60), st.integers(1, 3))
def test_the_jobs_are_bounded_whatever_comes(arriving, slots):
    running = []
    for priority in arriving:
        least = least_priority(running, slots)
        if least is not None and priority >= least:
            running.append(priority)

    assert len(running) <= slots * MOST_TIMES_THE_SLOTS


@given(st.lists(PRIORITIES, max_size=7), PRIORITIES, st.integers(2, 3))
def test_a_job_waits_only_while_as_many_as_there_are_slots_are_as_important(running, priority, slots):
    least = least_priority(running, slots)

    is_claimed = least is not None and priority >= least
    assert is_claimed == (sum(other >= priority for other in running) < slots)
