"""A job's request that comes again is answered from what was done, or joins what is being done."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.process_images import ProcessImages
from precache.core.errors import ConversionFailed, Stopped, TransferInterrupted
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, Phase, TaskPaused
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.core.work_context import current_work
from precache.ports.compute_gateway import CallNumber, ImagesRequest
from tests.waiting import wait_until

IMAGES = tuple(parse_image_id(f"00000000-0000-0000-0000-00000000000{number}") for number in range(4))
PATIENCE_S = 10


def downloads_at_once(watch):
    watch(Phase.DOWNLOADING, 7, 7)


class Driver:
    """Does for each image what `act` does; keeps what it was asked for."""

    name = "played"

    def __init__(self, act=downloads_at_once):
        self.asked = []
        self.act = act

    def start(self): ...

    def clean_cache(self): ...

    def cache_image(self, order, watch):
        work = current_work()
        assert work is not None
        self.asked.append((work.job_id, order.image))
        self.act(watch)
        return True


class NoReports:
    def add(self, progress): ...


def compute(driver, *, clock=None, stop=None, **options):
    return ProcessImages(
        host="cmp-1",
        cell="cell1",
        driver=driver,
        progress=NoReports(),
        clock=clock or MemoryClock(),
        stop=stop or CancelToken(),
        **options,
    )


def asking(*images, job="job"):
    return ImagesRequest(job, "cmp-1", "cell1", tuple(map(ImageOrder, images)))


def test_the_same_request_of_a_job_is_done_once_and_answered_alike():
    driver = Driver()
    host = compute(driver)

    answers = [host.process_images(asking(*IMAGES[:2])) for _ in range(3)]

    assert driver.asked == [("job", IMAGES[0]), ("job", IMAGES[1])]
    assert answers[0] == answers[1] == answers[2]
    assert [result.image for result in answers[0]] == list(IMAGES[:2])


def test_another_job_is_done_again():
    driver = Driver()
    host = compute(driver)

    host.process_images(asking(IMAGES[0], job="one"))
    host.process_images(asking(IMAGES[0], job="two"))

    assert driver.asked == [("one", IMAGES[0]), ("two", IMAGES[0])]


def test_only_the_images_that_were_not_asked_before_are_done():
    driver = Driver()
    host = compute(driver)
    host.process_images(asking(IMAGES[0]))

    answer = host.process_images(asking(IMAGES[1], IMAGES[0]))

    assert driver.asked == [("job", IMAGES[0]), ("job", IMAGES[1])]
    assert [result.image for result in answer] == [IMAGES[1], IMAGES[0]]


def test_an_error_is_an_outcome_too():
    def fails(watch):
        raise ConversionFailed(IMAGES[0], "the disk is on fire")

    driver = Driver(fails)
    host = compute(driver)

    host.process_images(asking(IMAGES[0]))

    assert host.process_images(asking(IMAGES[0]))[0].outcome is Outcome.ERROR
    assert len(driver.asked) == 1


class Held:
    """What a driver does that works on an image until it is let go. raises: what it ends with."""

    def __init__(self, raises=None):
        self.began, self.go, self.raises = threading.Event(), threading.Event(), raises

    def __call__(self, watch):
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        watch(Phase.DOWNLOADING, 7, 7)
        if self.raises is not None:
            raise self.raises


def test_a_second_request_joins_what_is_under_way():
    held = Held()
    driver = Driver(held)
    host = compute(driver)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, asking(IMAGES[0]))
        assert held.began.wait(PATIENCE_S)
        second = threads.submit(host.process_images, asking(IMAGES[0]))
        held.go.set()

        assert first.result(PATIENCE_S) == second.result(PATIENCE_S)
    assert driver.asked == [("job", IMAGES[0])]


@pytest.mark.parametrize(
    ("first_s", "second_s", "outcome"),
    [(10, 100, Outcome.CACHED), (100, 10, Outcome.CACHED), (10, 20, Outcome.ERROR), (10, None, Outcome.CACHED)],
)
def test_the_later_deadline_counts_for_a_run_that_is_joined(first_s, second_s, outcome):
    clock, held = MemoryClock(), Held()
    host, begin = compute(Driver(held)), clock.now()

    def within(seconds):
        allowed = None if seconds is None else timedelta(seconds=seconds)
        deadline = Deadline(allowed, monotonic=lambda: (clock.now() - begin).total_seconds())
        return replace(asking(IMAGES[0]), deadline=deadline)

    with ThreadPoolExecutor(2) as threads:
        first_request = within(first_s)
        first = threads.submit(host.process_images, first_request)
        assert held.began.wait(PATIENCE_S)
        joining = within(second_s)
        second = threads.submit(host.process_images, joining)
        wait_until(lambda: first_request.deadline.left_s >= joining.deadline.left_s)
        clock.advance(timedelta(seconds=50))
        held.go.set()

        assert [result.outcome for result in first.result(PATIENCE_S)] == [outcome]
        assert first.result() == second.result(PATIENCE_S)


def test_a_stop_is_returned_to_all_callers_that_wait_and_not_remembered():
    held = Held(raises=Stopped("Caching"))
    driver = Driver(held)
    host = compute(driver)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, asking(IMAGES[0]))
        assert held.began.wait(PATIENCE_S)
        second = threads.submit(host.process_images, asking(IMAGES[0]))
        held.go.set()
        for each in (first, second):
            with pytest.raises(Stopped):
                each.result(PATIENCE_S)

    held.raises = None
    assert host.process_images(asking(IMAGES[0]))[0].outcome is Outcome.CACHED


class BrokenClock(MemoryClock):
    is_broken = True

    def now(self):
        if self.is_broken:
            raise ZeroDivisionError("a bug")
        return super().now()


def test_what_ended_with_a_bug_is_done_again():
    clock = BrokenClock()
    host = compute(Driver(), clock=clock)
    with pytest.raises(ZeroDivisionError):
        host.process_images(asking(IMAGES[0]))

    clock.is_broken = False

    assert host.process_images(asking(IMAGES[0]))[0].outcome is Outcome.CACHED


def test_the_oldest_outcomes_are_removed_beyond_the_capacity():
    driver = Driver()
    host = compute(driver, capacity=2)
    for image in IMAGES[:3]:
        host.process_images(asking(image))

    host.process_images(asking(IMAGES[2]))
    host.process_images(asking(IMAGES[1]))
    host.process_images(asking(IMAGES[0]))

    assert [image for _, image in driver.asked] == [*IMAGES[:3], IMAGES[0]]


class Downloads:
    """What a driver does that downloads until it is stopped, and reports `bytes_done` each time."""

    def __init__(self, bytes_done=5):
        self.began, self.bytes_done = threading.Event(), bytes_done

    def __call__(self, watch):
        for _ in range(int(PATIENCE_S / 0.01)):
            watch(Phase.DOWNLOADING, self.bytes_done, 100)
            self.began.set()
            time.sleep(0.01)  # a transfer takes time; the test does not wait for it to pass
        raise AssertionError("it was not stopped")


def test_a_cancel_ends_what_runs_for_the_job_and_what_has_not_begun():
    downloads = Downloads()
    driver = Driver(downloads)
    host = compute(driver)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.process_images, asking(*IMAGES[:2]))
        assert downloads.began.wait(PATIENCE_S)
        host.cancel_job("job")
        results = running.result(PATIENCE_S)

    assert [result.outcome for result in results] == [Outcome.CANCELLED, Outcome.CANCELLED]
    assert [result.bytes_moved for result in results] == [5, 0]
    assert [result.reason for result in results] == ["", ""]
    assert driver.asked == [("job", IMAGES[0])]


def test_all_requests_that_wait_for_a_cancelled_image_get_the_same_answer():
    downloads = Downloads()
    host = compute(Driver(downloads))

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, asking(IMAGES[0]))
        assert downloads.began.wait(PATIENCE_S)
        late = Deadline(timedelta(days=1))
        second = threads.submit(host.process_images, replace(asking(IMAGES[0]), deadline=late))
        host.cancel_job("job")

        assert first.result(PATIENCE_S) == second.result(PATIENCE_S)
    assert first.result()[0].outcome is Outcome.CANCELLED


def test_a_request_that_comes_after_its_cancel_is_answered_at_once():
    driver = Driver()
    host = compute(driver)

    host.cancel_job("job")

    assert [result.outcome for result in host.process_images(asking(*IMAGES[:2]))] == [
        Outcome.CANCELLED,
        Outcome.CANCELLED,
    ]
    assert driver.asked == []


def test_an_image_that_was_done_before_the_cancel_keeps_its_outcome():
    host = compute(Driver())
    host.process_images(asking(IMAGES[0]))

    host.cancel_job("job")
    host.cancel_job("job")

    assert [result.outcome for result in host.process_images(asking(*IMAGES[:2]))] == [
        Outcome.CACHED,
        Outcome.CANCELLED,
    ]


def test_a_cancel_concerns_no_other_job():
    held = Held()
    driver = Driver(held)
    host = compute(driver)

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(host.process_images, asking(IMAGES[0], job="other"))
        assert held.began.wait(PATIENCE_S)
        host.cancel_job("job")
        held.go.set()

        assert other.result(PATIENCE_S)[0].outcome is Outcome.CACHED


def test_a_cancelled_job_is_left_to_the_next_start_when_the_compute_is_being_stopped():
    stop, downloads = CancelToken(), Downloads()
    host = compute(Driver(downloads), stop=stop)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.process_images, asking(IMAGES[0]))
        assert downloads.began.wait(PATIENCE_S)
        stop.cancel(StopReason.SHUTDOWN)
        host.cancel_job("job")

        with pytest.raises(Stopped):
            running.result(PATIENCE_S)


def numbered(number, *images, **changes):
    return replace(asking(*images), call=CallNumber("conductor", number), **changes)


def test_a_pause_ends_what_runs_for_the_job_and_what_has_not_begun_and_is_no_outcome():
    downloads = Downloads()
    driver = Driver(downloads)
    host = compute(driver)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.process_images, numbered(1, *IMAGES[:2]))
        assert downloads.began.wait(PATIENCE_S)
        host.pause_job("job", 0, CallNumber("conductor", 2))

        assert running.result(PATIENCE_S) == [TaskPaused(image) for image in IMAGES[:2]]
    driver.act = downloads_at_once
    outcomes = [result.outcome for result in host.process_images(numbered(3, *IMAGES[:2]))]
    assert outcomes == [Outcome.CACHED, Outcome.CACHED]


@pytest.mark.parametrize(
    ("request_", "is_paused"),
    [
        (numbered(1, IMAGES[0]), True),  # the pause has overtaken it
        (numbered(3, IMAGES[0]), False),
        (asking(IMAGES[0]), False),
        (numbered(3, IMAGES[0], is_paused=True), True),
        (replace(numbered(1, IMAGES[0]), call=CallNumber("another", 1)), False),
        (numbered(1, IMAGES[0], retry_count=1), False),
        (numbered(1, IMAGES[0], job_id="other"), False),
    ],
)
def test_a_pause_applies_to_requests_that_were_made_before_it(request_, is_paused):
    driver = Driver()
    host = compute(driver)

    host.pause_job("job", 0, CallNumber("conductor", 2))

    (result,) = host.process_images(request_)
    assert (result == TaskPaused(IMAGES[0])) is is_paused
    assert bool(driver.asked) is not is_paused


def test_a_pause_by_the_next_conductor_applies_to_the_request_that_is_being_worked_on():
    downloads = Downloads()
    driver = Driver(downloads)
    host = compute(driver)

    with ThreadPoolExecutor(2) as threads:
        of_the_dead = threads.submit(host.process_images, numbered(7, *IMAGES[:2]))
        assert downloads.began.wait(PATIENCE_S)
        of_the_next = replace(numbered(1, *IMAGES[:2]), call=CallNumber("the next", 1))
        joined = threads.submit(host.process_images, of_the_next)
        host.pause_job("job", 0, CallNumber("the next", 2))

        paused = [TaskPaused(image) for image in IMAGES[:2]]
        assert of_the_dead.result(PATIENCE_S) == joined.result(PATIENCE_S) == paused
    assert driver.asked == [("job", IMAGES[0])]


def test_a_request_that_resumes_a_job_whose_work_still_ends_begins_after_that():
    held, stop = Held(), CallNumber("conductor", 2)
    driver = Driver(held)
    host = compute(driver)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(host.process_images, numbered(1, IMAGES[0]))
        assert held.began.wait(PATIENCE_S)
        host.pause_job("job", 0, stop)
        resuming = numbered(3, IMAGES[0], deadline=Deadline(timedelta(days=1)))
        resumed = threads.submit(host.process_images, resuming)
        held.go.set()

        assert first.result(PATIENCE_S) == [TaskPaused(IMAGES[0])]
        assert resumed.result(PATIENCE_S)[0].outcome is Outcome.CACHED
    assert len(driver.asked) == 2


def test_what_was_done_before_a_pause_keeps_its_outcome():
    host = compute(Driver())
    host.process_images(numbered(1, IMAGES[0]))

    host.pause_job("job", 0, CallNumber("conductor", 2))

    first, second = host.process_images(numbered(3, *IMAGES[:2], is_paused=True))
    assert (first.outcome, second) == (Outcome.CACHED, TaskPaused(IMAGES[1]))


def test_a_retry_of_a_job_is_a_job_of_its_own():
    driver = Driver()
    host = compute(driver)
    host.process_images(asking(IMAGES[0]))
    host.cancel_job("job")

    results = [host.process_images(replace(asking(*IMAGES[:2]), retry_count=1)) for _ in range(2)]

    assert [result.outcome for result in results[0]] == [Outcome.CACHED] * 2
    assert results[0] == results[1]
    assert [image for _, image in driver.asked] == [IMAGES[0], *IMAGES[:2]]


def test_a_failure_that_may_pass_is_tried_again_by_the_next_request():
    def fails(watch):
        raise TransferInterrupted(IMAGES[0], 5, 10, "reset")

    driver = Driver(fails)
    host = compute(driver)
    (failure,) = host.process_images(asking(IMAGES[0]))
    driver.act = downloads_at_once

    (second,) = host.process_images(asking(IMAGES[0]))

    assert (failure.outcome, failure.may_pass) == (Outcome.ERROR, True)
    assert second.outcome is Outcome.CACHED


def test_the_oldest_cancels_are_removed_beyond_the_capacity():
    host = compute(Driver(), capacity=2)

    for job in ("one", "two", "three"):
        host.cancel_job(job)

    outcomes = [host.process_images(asking(IMAGES[0], job=job))[0].outcome for job in ("one", "two", "three")]
    assert outcomes == [Outcome.CACHED, Outcome.CANCELLED, Outcome.CANCELLED]
