"""Waits between attempts, as a table and as properties; the loop that waits them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.background.backoff import SERVICE_RESTARTS, Backoff, every, retry_until
from precache.background.observer import observing
from precache.core.errors import ImageServiceUnavailable, StoreUnavailable

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (50, 8), (10**9, 8)])
def test_wait_doubles_up_to_its_limit(failures, seconds):
    assert SERVICE_RESTARTS.wait_after(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize("failures", [1, 2, 3, 10**9])
def test_a_steady_schedule_waits_the_same_without_end(failures):
    assert every(5 * SECOND).wait_after(failures) == 5 * SECOND


def test_one_attempt_means_the_first_failure_is_the_last():
    assert Backoff(first=SECOND, longest=SECOND, attempts=1).wait_after(1) is None


@given(failures=st.integers(1, 10_000), attempts=st.integers(1, 10_000))
def test_gives_up_exactly_after_the_allowed_attempts(failures, attempts):
    wait = Backoff(first=SECOND, longest=8 * SECOND, attempts=attempts).wait_after(failures)

    assert (wait is None) == (failures >= attempts)
    assert wait is None or timedelta() < wait <= 8 * SECOND


@given(failures=st.integers(1, 100), jitter=st.floats(0, 1))
def test_jitter_only_shortens_a_wait_and_by_no_more_than_its_share(failures, jitter):
    plain = Backoff(first=SECOND, longest=8 * SECOND).wait_after(failures)

    wait = Backoff(first=SECOND, longest=8 * SECOND, jitter=jitter).wait_after(failures)

    assert plain * (1 - jitter) - timedelta(microseconds=1) <= wait <= plain


class Flaky:
    """Raises `errors` one after the other, then returns 7."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


class Waits:
    """Notes for how long is waited; says that it is time to stop during the wait with this number."""

    def __init__(self, stops_at=None):
        self.waits, self.stops_at = [], stops_at

    def __call__(self, seconds):
        if seconds:
            self.waits.append(seconds)
        return self.stops_at is not None and len(self.waits) >= self.stops_at


def gone(times):
    return [StoreUnavailable("gone")] * times


def test_a_call_is_retried_with_growing_pauses(caplog):
    flaky, wait = Flaky(*gone(3)), Waits()

    assert retry_until(flaky, what="The end of job", of="12", wait=wait) == 7

    assert wait.waits == [1, 2, 4]
    assert "The end of job 12 failed" in caplog.text
    assert "trying again in 4 s" in caplog.text


def test_the_last_failure_is_raised_when_the_attempts_are_used_up():
    flaky, backoff = Flaky(*gone(9)), Backoff(first=SECOND, longest=SECOND, attempts=3)

    with pytest.raises(StoreUnavailable):
        retry_until(flaky, what="The end", wait=Waits(), backoff=backoff)

    assert flaky.calls == 3


def test_a_stop_during_a_wait_raises_the_failure_without_another_attempt():
    flaky = Flaky(*gone(9))

    with pytest.raises(StoreUnavailable):
        retry_until(flaky, what="The end", wait=Waits(stops_at=2))

    assert flaky.calls == 2


def test_after_a_stop_the_first_failure_is_raised_and_not_logged(caplog):
    flaky = Flaky(*gone(9))

    with pytest.raises(StoreUnavailable):
        retry_until(flaky, what="The end", wait=Waits(stops_at=0))

    assert flaky.calls == 1
    assert not caplog.records


def test_what_will_not_change_is_not_tried_again():
    flaky = Flaky(ValueError("for ever"))

    with pytest.raises(ValueError, match="for ever"):
        retry_until(flaky, what="The end", wait=Waits())

    assert flaky.calls == 1


def test_only_the_first_failure_is_raised():
    troubles = []

    retry_until(Flaky(*gone(3)), what="The end", wait=Waits(), on_first_failure=lambda: troubles.append(1))

    assert troubles == [1]


def test_the_caller_may_give_up_knowing_the_error_and_the_wait():
    asked, error = [], ImageServiceUnavailable("memory", "gone")

    def gives_up(failure, failures, pause_s):
        asked.append((failure, failures, pause_s))
        return pause_s > 1

    with pytest.raises(ImageServiceUnavailable):
        retry_until(Flaky(error, error), what="The end", wait=Waits(), gives_up=gives_up)

    assert asked == [(error, 1, 1), (error, 2, 2)]


def test_a_bug_among_the_errors_to_retry_is_logged_with_its_traceback(caplog):
    retry_until(Flaky(RuntimeError("a bug")), what="The end", wait=Waits(), errors=Exception, level=0)

    assert caplog.records[-1].exc_info


def test_an_observer_counts_every_attempt():
    runs = []

    with observing(lambda what, duration_s, error: runs.append((what, error is None))):
        retry_until(Flaky(*gone(2)), what="The end of job", of="12", wait=Waits())

    assert runs == [("The end of job", False)] * 2 + [("The end of job", True)]
