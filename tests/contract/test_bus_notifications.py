"""What a consumer of Nova's notifications hears of a job: Nova's own samples, field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.bus_oslo import OsloNotifier
from precache.conductor.announce import Announcer
from precache.core.errors import InvalidConfiguration
from precache.core.images import parse_image_id
from precache.core.jobs import Job, JobState, Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.ports.notifier import Notification
from tests.contract.buses import PATIENCE, new_conf
from tests.contract.consuming import Consumer

pytestmark = pytest.mark.external

IMAGE = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
UUID = "788608ec-ebdc-45c5-bc7f-e5f24ab92c80"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUEUE = "versioned_notifications.info"

AGGREGATE_SAMPLE = {
    "nova_object.name": "AggregatePayload",
    "nova_object.namespace": "nova",
    "nova_object.version": "1.1",
    "nova_object.data": {
        "name": "my-aggregate",
        "metadata": {"availability_zone": "nova"},
        "uuid": UUID,
        "hosts": ["compute"],
        "id": 1,
    },
}
PROGRESS_SAMPLE = {
    "nova_object.name": "AggregateCachePayload",
    "nova_object.namespace": "nova",
    "nova_object.version": "1.0",
    "nova_object.data": {
        "name": "my-aggregate",
        "uuid": UUID,
        "host": "compute",
        "total": 1,
        "index": 1,
        "images_cached": [str(IMAGE)],
        "images_failed": [],
        "id": 1,
    },
}

JOB = Job(
    id="job", aggregate_id=1, aggregate_uuid=UUID, aggregate_name="my-aggregate", orders=(ImageOrder(IMAGE),),
    state=JobState.RUNNING, requested_by="admin", request_id="req", created_at=NOW, started_at=NOW, finished_at=None,
    lease_owner=None, lease_until=None, task_count=1, counts={},
    aggregate_metadata={"availability_zone": "nova"},
)  # fmt: skip


def notifier_on(*urls, **options):
    return OsloNotifier(
        conf=new_conf(), transport_urls=urls, topics=["versioned_notifications"], exchange="nova", **options
    )


@pytest.fixture
def two_buses(rabbitmq):
    """Return a notifier on two buses, and a consumer on each."""
    rabbitmq.start()
    urls = [rabbitmq.fresh_url(), rabbitmq.fresh_url()]
    notifier = notifier_on(*urls)
    consumers = [Consumer(url, "nova", QUEUE) for url in urls]
    notifier.start()
    yield notifier, consumers
    notifier.stop(PATIENCE)
    for part in consumers:
        part.close()


def test_start_progress_and_end_of_a_job_are_nova_s_samples_on_every_bus(two_buses):
    notifier, consumers = two_buses
    announcer = Announcer(notifier=notifier, origin="fake-mini")

    announcer.started(JOB, ["compute"])
    announcer.host_ended(JOB, "compute", [TaskResult(IMAGE, Outcome.CACHED)], 1, 1)
    announcer.ended(replace(JOB, state=JobState.SUCCEEDED), ["compute"])

    for consumer in consumers:
        heard = consumer.take(3)
        assert [
            {key: body[key] for key in ("event_type", "publisher_id", "priority", "payload")} for body in heard
        ] == [
            {
                "event_type": "aggregate.cache_images.start",
                "publisher_id": "nova-api:fake-mini",
                "priority": "INFO",
                "payload": AGGREGATE_SAMPLE,
            },
            {
                "event_type": "aggregate.cache_images.progress",
                "publisher_id": "nova-conductor:fake-mini",
                "priority": "INFO",
                "payload": PROGRESS_SAMPLE,
            },
            {
                "event_type": "aggregate.cache_images.end",
                "publisher_id": "nova-api:fake-mini",
                "priority": "INFO",
                "payload": AGGREGATE_SAMPLE,
            },
        ]


def test_every_message_has_an_id_of_its_own_and_a_time(two_buses):
    notifier, consumers = two_buses

    for number in range(2):
        notifier.emit(Notification(f"event.{number}", "here", {}))

    first, second = consumers[0].take(2)
    assert first["message_id"] != second["message_id"]
    assert datetime.fromisoformat(first["timestamp"])


def test_what_is_sent_while_the_broker_is_down_arrives_when_it_is_back(rabbitmq, cell_url):
    notifier = notifier_on(cell_url)
    notifier.start()
    rabbitmq.stop()

    notifier.emit(Notification("event.first", "here", {}))
    notifier.emit(Notification("event.second", "here", {}))
    rabbitmq.start()

    consumer = Consumer(cell_url, "nova", QUEUE)
    assert [body["event_type"] for body in consumer.take(2)] == ["event.first", "event.second"]
    consumer.close()
    notifier.stop(PATIENCE)


def test_beyond_what_is_kept_for_a_broker_that_is_down_notifications_are_dropped_with_one_line(caplog):
    notifier = notifier_on("rabbit://user:hush-hush@127.0.0.1:1/", capacity=2)
    notifier.start()

    for number in range(5):
        notifier.emit(Notification(f"event.{number}", "here", {}))

    notifier.stop(timedelta(seconds=20))
    assert [record.message for record in caplog.records if "dropped" in record.message] == [
        "Notifications to the message bus 127.0.0.1:1/ are dropped: 2 wait for it already"
    ]
    assert "hush-hush" not in caplog.text
    assert "Traceback" not in caplog.text


def test_the_configuration_that_all_buses_share_is_not_changed(cell_url):
    conf = new_conf()

    OsloNotifier(conf=conf, transport_urls=[cell_url], topics=["t"], exchange="nova")

    assert conf.control_exchange != "nova"


def test_a_url_that_cannot_be_meant_is_refused_without_its_password():
    with pytest.raises(InvalidConfiguration) as refused:
        notifier_on("amqp://user:hush-hush@127.0.0.1:1/")

    assert "rabbit://" in str(refused.value)
    assert "hush-hush" not in str(refused.value)


def test_one_connection_is_held_for_each_bus(rabbitmq, cell_url):
    notifier = notifier_on(cell_url)
    consumer = Consumer(cell_url, "nova", QUEUE)
    notifier.start()

    notifier.emit(Notification("event", "here", {}))
    consumer.take(1)

    vhost = cell_url.rpartition("/")[2]
    held = [line for line in rabbitmq.control("list_connections", "vhost").splitlines() if line.strip() == vhost]
    consumer.close()
    notifier.stop(PATIENCE)
    assert len(held) == 2  # the consumer's and the notifier's
