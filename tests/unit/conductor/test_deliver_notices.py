"""Notices to URLs: in order for each job, again after a failure, not for ever, and none in the way of another."""

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.notices_memory import MemoryDeliveries, MemoryDuties
from precache.background.backoff import Backoff
from precache.conductor.deliver_notices import DeliverNotices
from precache.conductor.held_duty import HeldDuty
from precache.core.errors import WebhookFailed
from precache.core.job_notices import JobEvent, NewDelivery
from tests.contract.job_values import LEASE

A, B = "https://a.example/secret", "https://b.example/secret"
HOUR = timedelta(hours=1)


class Receivers:
    """The port `Webhooks`. failing: what each URL answers in place of an acceptance."""

    def __init__(self) -> None:
        self.failing: dict[str, WebhookFailed] = {}
        self.got: list[tuple[str, str]] = []
        self.calls = 0

    def post(self, delivery):
        self.calls += 1
        if error := self.failing.get(delivery.url) or self.failing.get(delivery.id):
            raise error
        self.got.append((delivery.url, delivery.id))


class InPlace:
    """A pool that runs a function at once."""

    def submit(self, function, *arguments):
        function(*arguments)


class World:
    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.queue = MemoryDeliveries(now=self.clock.now)
        self.duties = MemoryDuties(now=self.clock.now)
        self.receivers = Receivers()
        self.refused: dict[str, str] = {}
        self.deliver = self.deliverer()

    def deliverer(self, owner="one", pool=None, **options) -> DeliverNotices:
        return DeliverNotices(
            duty=HeldDuty(duties=self.duties, name="webhooks", owner=owner, lease=LEASE),
            queue=self.queue,
            webhooks=self.receivers,
            pool=pool or InPlace(),
            why_refused=self.refused.get,
            retry_for=HOUR,
            backoff=Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=5)),
            monotonic=lambda: self.clock.now().timestamp(),
            **options,
        )

    def add(self, notice: str, *urls: str, job="job") -> None:
        self.queue.add(notice, job, JobEvent.RUNNING, [NewDelivery(0, url, "") for url in urls])

    def passes(self, count: int, seconds: float = 1) -> None:
        for _ in range(count):
            self.deliver()
            self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def world():
    return World()


def down(url):
    return WebhookFailed(url.rpartition("/")[0], "Connection refused")


def answer(url):
    return WebhookFailed(url.rpartition("/")[0], "HTTP status 500", has_answered=True)


def test_a_delivery_arrives_once(world):
    world.add("1", A, B)

    world.passes(3)

    assert world.receivers.got == [(A, "1"), (B, "1")]


def test_notices_of_a_job_arrive_in_order_and_one_that_fails_holds_up_the_next(world):
    for notice in ("1", "2", "3"):
        world.add(notice, A)
    world.receivers.failing["2"] = answer(A)
    world.passes(5)
    assert world.receivers.got == [(A, "1")]

    del world.receivers.failing["2"]
    world.passes(10)

    assert world.receivers.got == [(A, "1"), (A, "2"), (A, "3")]


@pytest.mark.parametrize("failure", [down, answer])
def test_a_failing_receiver_holds_up_no_other(world, failure):
    world.add("1", A, B)
    world.add("2", A, B)
    world.receivers.failing[A] = failure(A)

    world.passes(3)

    assert world.receivers.got == [(B, "1"), (B, "2")]


def test_an_answer_for_one_job_holds_up_no_other_job(world):
    world.add("1", A, job="one")
    world.add("2", A, job="two")
    world.receivers.failing["1"] = answer(A)

    world.passes(1)

    assert world.receivers.got == [(A, "2")]


def test_a_receiver_that_is_down_is_called_once_for_all_jobs(world):
    for number in range(100):
        world.add(str(number), A, job=f"job-{number}")
    world.receivers.failing[A] = down(A)

    world.passes(60)

    assert world.receivers.calls <= 6  # after 0, 1, 3, 7, 15, 31 seconds
    world.receivers.failing.clear()
    world.passes(5, seconds=60)
    assert len(world.receivers.got) == 100


def test_a_failure_is_one_line_in_the_log_without_the_path(world, caplog):
    world.add("1", A)
    world.receivers.failing[A] = answer(A)

    world.passes(1)

    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line == ("Notice 1 (running) to https://a.example failed, attempt 1: HTTP status 500; trying again in 1 s")


@pytest.mark.parametrize("failure", [down, answer])
def test_after_the_time_for_retries_a_notice_is_dropped(world, failure, caplog):
    world.add("1", A)
    world.add("2", A, job="other")
    world.receivers.failing[A] = failure(A)

    world.passes(150, seconds=60)

    assert world.queue.due(10) == []
    assert "secret" not in caplog.text
    dropped = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [line.split()[1] for line in dropped] == ["1", "2"]
    assert 10 < world.receivers.calls < 60


def test_a_url_that_is_no_longer_allowed_is_not_called(world, caplog):
    world.add("1", A, B)
    world.refused[A] = "is not below any URL"

    world.passes(2)

    assert world.receivers.got == [(B, "1")]
    assert world.receivers.calls == 1
    assert "to https://a.example was dropped after 0 failed attempts: the URL is not below any URL" in caplog.text


def test_only_the_process_with_the_duty_delivers(world):
    world.add("1", A)
    other = world.deliverer("other")

    world.deliver()
    world.add("2", A)
    other()

    assert world.receivers.got == [(A, "1")]


def test_a_url_that_is_being_called_is_not_called_again(world):
    class Later:
        def __init__(self):
            self.work = []

        def submit(self, function, *arguments):
            self.work.append((function, arguments))

    later = Later()
    deliver = world.deliverer(pool=later)
    world.add("1", A)

    deliver()
    deliver()

    assert len(later.work) == 1
    function, arguments = later.work.pop()
    function(*arguments)
    world.add("2", A)
    deliver()
    assert len(later.work) == 1


def test_without_a_thread_a_delivery_waits(world):
    class Full:
        is_full = True

        def submit(self, function, *arguments):
            if self.is_full:
                raise RuntimeError("can't start new thread")
            function(*arguments)

    full = Full()
    deliver = world.deliverer(pool=full)
    world.add("1", A)
    deliver()
    full.is_full = False
    deliver()

    assert world.receivers.got == [(A, "1")]


def test_a_bug_in_one_delivery_leaves_the_url_callable(world, caplog):
    world.add("1", A)
    broken = True

    def post(delivery):
        if broken:
            raise TypeError("bug")
        world.receivers.got.append((delivery.url, delivery.id))

    world.receivers.post = post
    world.passes(1)
    broken = False
    world.passes(1)

    assert world.receivers.got == [(A, "1")]
    assert "Delivering notices to https://a.example failed" in caplog.text
