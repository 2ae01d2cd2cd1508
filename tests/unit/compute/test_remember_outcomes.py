"""A job's request that comes again is answered from what was done, or joins what is being done."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.deadline import Deadline
from precache.compute.remember_outcomes import RememberOutcomes
from precache.core.errors import Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import CacheOrder
from precache.ports.compute_gateway import CacheRequest
from tests.waiting import wait_until

IMAGES = tuple(parse_image_id(f"00000000-0000-0000-0000-00000000000{number}") for number in range(4))
PATIENCE_S = 10


class Counted:
    """The use case, with a note of what it was asked."""

    def __init__(self, outcome=Outcome.CACHED):
        self.asked = []
        self.outcome = outcome

    def __call__(self, request):
        self.asked += [(request.job_id, image) for image in request.images]
        return [TaskResult(image, self.outcome, bytes_moved=7) for image in request.images]


def asking(*images, job="job"):
    return CacheRequest(job, "cmp-1", "cell1", tuple(map(CacheOrder, images)))


def test_the_same_request_of_a_job_is_done_once_and_answered_alike():
    use_case = Counted()
    remembering = RememberOutcomes(use_case)

    answers = [remembering(asking(*IMAGES[:2])) for _ in range(3)]

    assert use_case.asked == [("job", IMAGES[0]), ("job", IMAGES[1])]
    assert answers[0] == answers[1] == answers[2]
    assert [result.image for result in answers[0]] == list(IMAGES[:2])


def test_another_job_is_done_anew():
    use_case = Counted()
    remembering = RememberOutcomes(use_case)

    remembering(asking(IMAGES[0], job="one"))
    remembering(asking(IMAGES[0], job="two"))

    assert use_case.asked == [("one", IMAGES[0]), ("two", IMAGES[0])]


def test_only_the_images_that_were_not_asked_before_are_done():
    use_case = Counted()
    remembering = RememberOutcomes(use_case)
    remembering(asking(IMAGES[0]))

    answer = remembering(asking(IMAGES[1], IMAGES[0]))

    assert use_case.asked == [("job", IMAGES[0]), ("job", IMAGES[1])]
    assert [result.image for result in answer] == [IMAGES[1], IMAGES[0]]


def test_an_error_is_an_outcome_too():
    use_case = Counted(Outcome.ERROR)
    remembering = RememberOutcomes(use_case)

    remembering(asking(IMAGES[0]))

    assert remembering(asking(IMAGES[0]))[0].outcome is Outcome.ERROR
    assert len(use_case.asked) == 1


class Held:
    """A use case that is under way until it is let go."""

    def __init__(self, raises=None):
        self.began, self.go, self.raises = threading.Event(), threading.Event(), raises
        self.calls = 0

    def __call__(self, request):
        self.calls += 1
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        if self.raises is not None:
            raise self.raises
        return [TaskResult(image, Outcome.CACHED) for image in request.images]


def test_a_second_request_joins_what_is_under_way():
    held = Held()
    remembering = RememberOutcomes(held)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(remembering, asking(IMAGES[0]))
        assert held.began.wait(PATIENCE_S)
        second = threads.submit(remembering, asking(IMAGES[0]))
        held.go.set()

        assert first.result(PATIENCE_S) == second.result(PATIENCE_S)
    assert held.calls == 1


class HeldUntilLate:
    """A use case that is under way until it is let go, and then says whether the time of its request is over."""

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, request):
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        outcome = Outcome.ERROR if request.deadline.has_passed else Outcome.CACHED
        return [TaskResult(image, outcome) for image in request.images]


@pytest.mark.parametrize(
    ("first_s", "second_s", "outcome"),
    [(10, 100, Outcome.CACHED), (100, 10, Outcome.CACHED), (10, 20, Outcome.ERROR), (10, None, Outcome.CACHED)],
)
def test_the_later_deadline_counts_for_a_run_that_is_joined(first_s, second_s, outcome):
    clock, held = MemoryClock(), HeldUntilLate()
    remembering, begin = RememberOutcomes(held), clock.now()

    def within(seconds):
        allowed = None if seconds is None else timedelta(seconds=seconds)
        deadline = Deadline(allowed, monotonic=lambda: (clock.now() - begin).total_seconds())
        return replace(asking(IMAGES[0]), deadline=deadline)

    with ThreadPoolExecutor(2) as threads:
        first_request = within(first_s)
        first = threads.submit(remembering, first_request)
        assert held.began.wait(PATIENCE_S)
        joining = within(second_s)
        second = threads.submit(remembering, joining)
        wait_until(lambda: first_request.deadline.left_s >= joining.deadline.left_s)
        clock.advance(timedelta(seconds=50))
        held.go.set()

        assert [result.outcome for result in first.result(PATIENCE_S)] == [outcome]
        assert first.result() == second.result(PATIENCE_S)


def test_what_was_stopped_is_told_to_all_who_wait_and_forgotten():
    held = Held(raises=Stopped("Caching"))
    remembering = RememberOutcomes(held)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(remembering, asking(IMAGES[0]))
        assert held.began.wait(PATIENCE_S)
        second = threads.submit(remembering, asking(IMAGES[0]))
        held.go.set()
        for each in (first, second):
            with pytest.raises(Stopped):
                each.result(PATIENCE_S)

    held.raises = None
    assert remembering(asking(IMAGES[0]))[0].outcome is Outcome.CACHED


def test_what_ended_with_a_bug_is_done_anew():
    held = Held(raises=ZeroDivisionError("a bug"))
    held.go.set()
    remembering = RememberOutcomes(held)
    with pytest.raises(ZeroDivisionError):
        remembering(asking(IMAGES[0]))

    held.raises = None

    assert remembering(asking(IMAGES[0]))[0].outcome is Outcome.CACHED


def test_the_oldest_outcomes_are_forgotten_beyond_the_capacity():
    use_case = Counted()
    remembering = RememberOutcomes(use_case, capacity=2)
    for image in IMAGES[:3]:
        remembering(asking(image))

    remembering(asking(IMAGES[2]))
    remembering(asking(IMAGES[1]))
    remembering(asking(IMAGES[0]))

    assert [image for _, image in use_case.asked] == [*IMAGES[:3], IMAGES[0]]
