"""Waits between attempts, as a table and as properties."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.retry import LONGEST_WAIT, wait_before_retry


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (50, 8)])
def test_wait_doubles_up_to_its_limit(failures, seconds):
    assert wait_before_retry(failures, retries=100) == timedelta(seconds=seconds)


def test_no_retries_means_the_first_failure_is_the_last():
    assert wait_before_retry(1, retries=0) is None


@given(failures=st.integers(1, 10_000), retries=st.integers(0, 10_000))
def test_gives_up_exactly_after_the_allowed_retries(failures, retries):
    wait = wait_before_retry(failures, retries)

    assert (wait is None) == (failures > retries)
    assert wait is None or timedelta() < wait <= LONGEST_WAIT
