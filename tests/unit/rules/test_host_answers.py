"""What becomes of tasks after the answer of their host."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from precache.core.images import parse_image_id
from precache.core.jobs import HostEnded, HostPutBack, Outcome, TaskPaused, TaskResult
from precache.rules.host_answers import steps_of_answer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST, SECOND, THIRD = (parse_image_id(f"00000000-0000-0000-0000-00000000000{n}") for n in (1, 2, 3))
CACHED = TaskResult(FIRST, Outcome.CACHED, 9)
BROKEN = TaskResult(SECOND, Outcome.ERROR, reason="the line broke", may_pass=True)


def steps(*answers, failures=None, retries=0, rest_ends_as=None):
    return steps_of_answer("a", answers, NOW, failures=failures or {}, retries=retries, rest_ends_as=rest_ends_as)


def ended(*results):
    return HostEnded("a", results, NOW)


def test_without_retries_everything_ends():
    assert steps(CACHED, BROKEN) == [ended(CACHED, BROKEN)]


@pytest.mark.parametrize("failures", [{}, {SECOND: 1}])
def test_a_failure_that_may_pass_is_put_back_and_the_others_end(failures):
    assert steps(CACHED, BROKEN, failures=failures, retries=2) == [
        ended(CACHED),
        HostPutBack("a", {SECOND: 0}, NOW, is_failure=True, reason="the line broke"),
    ]


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (BROKEN, {SECOND: 2}),
        (replace(BROKEN, may_pass=False), {}),
    ],
)
def test_a_failure_ends_the_task_if_it_cannot_pass_or_the_retries_are_used_up(answer, failures):
    assert steps(answer, failures=failures, retries=2) == [ended(answer)]


def test_images_that_failed_for_different_reasons_keep_them():
    other = replace(BROKEN, image=THIRD, reason="the disk is full")

    assert steps(BROKEN, other, retries=1) == [
        HostPutBack("a", {SECOND: 0}, NOW, is_failure=True, reason="the line broke"),
        HostPutBack("a", {THIRD: 0}, NOW, is_failure=True, reason="the disk is full"),
    ]


def test_a_paused_image_is_put_back_with_what_its_host_keeps_and_without_a_failure():
    assert steps(CACHED, TaskPaused(SECOND, 70)) == [ended(CACHED), HostPutBack("a", {SECOND: 70}, NOW)]


@pytest.mark.parametrize("rest", [Outcome.CANCELLED, Outcome.EXPIRED])
@pytest.mark.parametrize("answer", [TaskResult(SECOND, Outcome.CANCELLED, 7), TaskPaused(SECOND, 7)])
def test_a_job_that_does_not_continue_ends_what_its_host_has_stopped(rest, answer):
    assert steps(CACHED, answer, rest_ends_as=rest) == [ended(CACHED, TaskResult(SECOND, rest, 7))]


def test_a_job_that_does_not_continue_tries_nothing_again():
    assert steps(BROKEN, retries=9, rest_ends_as=Outcome.EXPIRED) == [ended(BROKEN)]


def test_what_a_host_cancelled_by_itself_stays_cancelled():
    cancelled = TaskResult(SECOND, Outcome.CANCELLED)

    assert steps(cancelled) == [ended(cancelled)]
