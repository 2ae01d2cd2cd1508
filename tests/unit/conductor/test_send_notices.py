"""Notices become notifications and deliveries: each at least once, in order, and not lost by a broker that is down."""

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.notices_memory import MemoryDuties, MemoryNotices
from precache.adapters.notifier_memory import MemoryNotifier
from precache.conductor.held_duty import HeldDuty
from precache.conductor.send_notices import BATCH, SendNotices
from precache.core.job_notices import JobEvent
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState
from precache.rules.quiet_notices import HOLD
from tests.contract.job_values import LEASE, job_id, new_job

MANY = 10_000


class Broker(MemoryNotifier):
    """A notifier whose broker may be down: it keeps what is emitted."""

    is_up = True

    def wait_until_sent(self, patience: timedelta) -> bool:
        return self.is_up


class World:
    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.notices = MemoryNotices(now=self.clock.now, find_job=lambda job: self.jobs.find(job))
        self.jobs = MemoryJobs(clock=self.clock, on_change=self.notices.add)
        self.duties = MemoryDuties(now=self.clock.now)
        self.broker = Broker()

    def sender(self, owner="one", **options) -> SendNotices:
        duty = HeldDuty(duties=self.duties, name="notices", owner=owner, lease=LEASE)
        return SendNotices(duty=duty, outbox=self.notices, notifier=self.broker, origin="here", **options)

    def sent(self) -> list[str]:
        return [one.payload["precache_object.data"]["notice_id"] for one in self.broker.sent]


@pytest.fixture
def world():
    return World()


def test_every_change_is_sent_once_in_order_and_then_forgotten(world):
    send = world.sender()
    world.jobs.add(new_job(1))
    send()
    world.jobs.claim("me", LEASE)
    world.clock.advance(timedelta(seconds=1))
    world.jobs.cancel(job_id(1))
    send()
    send()

    assert [one.event_type for one in world.broker.sent] == ["precache.job.queued", "precache.job.running"]
    assert [one.publisher_id for one in world.broker.sent] == ["precache-conductor:here"] * 2
    assert world.notices.oldest(MANY) == []


def test_more_than_one_batch_is_sent_in_one_pass(world):
    for number in range(2 * BATCH + 1):
        world.jobs.add(new_job(number))

    world.sender()()

    assert len(world.sent()) == 2 * BATCH + 1


def test_while_the_broker_is_down_notices_are_kept_and_emitted_once(world):
    send = world.sender()
    world.broker.is_up = False
    world.jobs.add(new_job(1))
    send()
    world.jobs.add(new_job(2))
    send()
    assert len(world.sent()) == 1
    assert len(world.notices.oldest(MANY)) == 2

    world.broker.is_up = True
    send()

    assert world.sent() == [f"{job_id(1)}-1", f"{job_id(2)}-2"]
    assert world.notices.oldest(MANY) == []


def test_another_process_sends_what_a_dead_one_may_not_have_sent(world):
    world.broker.is_up = False
    world.jobs.add(new_job(1))
    world.sender("dead")()
    world.broker.is_up = True
    other = world.sender("other")

    other()
    assert len(world.sent()) == 1  # the dead one may still live
    world.clock.advance(LEASE)
    world.sender("third")()

    # With the same id, so that a receiver knows it.
    assert world.sent() == [f"{job_id(1)}-1"] * 2


def test_each_receiver_gets_a_delivery_before_the_broker_has_the_notice(world):
    world.broker.is_up = False
    send = world.sender(receivers=lambda notice: [f"https://a/{notice.event}", "https://b"])
    world.jobs.add(new_job(1))
    world.jobs.claim("me", LEASE)

    send()
    send()

    assert [(each.event, each.url) for each in world.notices.deliveries.due(MANY, skip=["https://b"])] == [
        (JobEvent.QUEUED, "https://a/queued"),
        (JobEvent.RUNNING, "https://a/running"),
    ]
    assert len(world.notices.deliveries.due(MANY, skip=["https://a/queued", "https://a/running"])) == 1


def test_a_notice_that_comes_during_a_pass_is_not_sent_without_its_deliveries(world):
    def receivers(notice):
        if notice.event is JobEvent.QUEUED and notice.job.id == job_id(1):
            world.jobs.claim("me", LEASE)
        return ["https://a"]

    world.jobs.add(new_job(1))
    world.sender(receivers=receivers)()

    assert len(world.sent()) == 2
    assert world.notices.deliveries.due(MANY)[0].event is JobEvent.QUEUED
    world.notices.deliveries.remove([1])
    assert world.notices.deliveries.due(MANY)[0].event is JobEvent.RUNNING


def test_a_conductor_without_webhooks_says_that_a_url_is_not_told(world, caplog):
    world.jobs.add(new_job(1, options=JobOptions(notify_url="https://a.example/secret")))
    world.jobs.add(new_job(2))

    world.sender()()

    [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert f"Notice {job_id(1)}-1 (queued) is not sent to the notify_url of its job" in line
    assert "secret" not in line
    assert len(world.sent()) == 2


@pytest.mark.parametrize("receivers", [None, lambda _notice: ["https://a"]])
def test_looks_at_a_waiting_job_are_not_sent(world, receivers):
    send = world.sender(receivers=receivers)
    world.jobs.add(new_job(1))
    for _ in range(3):
        job = world.jobs.claim("me", LEASE)
        due_at = world.clock.now() + timedelta(seconds=10)
        world.jobs.release(job.claim, state=JobState.WAITING, due_at=due_at, reason="1 host is down")
        send()
        world.clock.advance(timedelta(seconds=10))
    world.jobs.claim("me", LEASE)
    send()
    assert [one.event_type.rpartition(".")[2] for one in world.broker.sent] == ["queued", "running", "waiting"]

    world.clock.advance(HOLD)
    send()

    assert world.broker.sent[-1].event_type == "precache.job.running"
    assert world.notices.oldest(MANY) == []


def test_when_no_broker_takes_them_the_oldest_are_dropped_with_a_word_in_the_log(world, caplog):
    for number in range(5):
        world.jobs.add(new_job(number))

    world.sender(capacity=3)()

    assert len(world.sent()) == 3
    assert "2 notices of jobs were dropped, because more than 3 wait" in caplog.text
