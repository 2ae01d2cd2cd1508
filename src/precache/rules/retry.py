"""When to retry what has failed because another service is unavailable, and when to give up."""

from __future__ import annotations

from datetime import timedelta

FIRST_WAIT = timedelta(seconds=1)
"""The same as Nova's wait between attempts."""

LONGEST_WAIT = timedelta(seconds=8)
"""A service that restarts is back within some ten seconds; a longer wait only delays the error."""

_MOST_DOUBLINGS = 10  # keeps the power small; the limit is reached before


def wait_before_retry(failures: int, retries: int) -> timedelta | None:
    """Return how long to wait after the `failures`-th failure in a row without progress; None means give up.

    failures: at least 1; the caller restarts from 0 whenever bytes have arrived.
    retries: how many more attempts are made at one offset of the data; 0 means none.
    """
    return None if failures > retries else wait_after(failures)


def wait_after(failures: int) -> timedelta:
    """Return the wait after the `failures`-th failure in a row; it doubles from FIRST_WAIT up to LONGEST_WAIT."""
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)
