"""Every notifier sends the whole notification, and never raises."""

import json
import logging
from datetime import timedelta

import pytest

from precache.adapters.bus_oslo import OsloNotifier
from precache.adapters.notifier_log import LogNotifier
from precache.adapters.notifier_memory import MemoryNotifier
from precache.ports.notifier import Notification, Notifier
from tests.contract.buses import PATIENCE, new_conf
from tests.contract.consuming import Consumer

NOTIFICATION = Notification(
    "aggregate.cache_images.start", "nova-api:here", {"nova_object.data": {"name": "gruppe-\N{SNOWMAN}", "id": 1}}
)


@pytest.fixture(params=["memory", "log", pytest.param("oslo", marks=pytest.mark.external)])
def sending(request, caplog):
    """Return a notifier, and a function that returns the received notifications as dicts."""
    if request.param == "oslo":
        return over_a_bus(request)
    if request.param == "memory":
        memory = MemoryNotifier()
        return memory, lambda: [
            {"priority": n.priority, "event_type": n.event_type, "publisher_id": n.publisher_id, "payload": n.payload}
            for n in memory.sent
        ]
    caplog.set_level(logging.INFO, logger="precache.notifications")
    return LogNotifier(), lambda: [json.loads(record.message) for record in caplog.records]


def over_a_bus(request):
    url = request.getfixturevalue("cell_url")
    notifier = OsloNotifier(conf=new_conf(), transport_urls=[url], topics=["versioned_notifications"], exchange="nova")
    consumer = Consumer(url, "nova", "versioned_notifications.info")
    notifier.start()
    for end in (consumer.close, lambda: notifier.stop(PATIENCE)):
        request.addfinalizer(end)

    def arrived():
        notifier.stop(PATIENCE)
        return [
            {key: body[key] for key in ("priority", "event_type", "publisher_id", "payload")}
            for body in consumer.take()
        ]

    return notifier, arrived


def test_a_notification_arrives_whole(sending):
    notifier, arrived = sending

    notifier.emit(NOTIFICATION)

    assert arrived() == [
        {
            "priority": "INFO",
            "event_type": "aggregate.cache_images.start",
            "publisher_id": "nova-api:here",
            "payload": {"nova_object.data": {"name": "gruppe-\N{SNOWMAN}", "id": 1}},
        }
    ]


def test_notifications_arrive_in_the_order_in_which_they_were_sent(sending):
    notifier, arrived = sending

    for number in range(5):
        notifier.emit(Notification(f"event.{number}", "here", {}))

    assert [body["event_type"] for body in arrived()] == [f"event.{number}" for number in range(5)]


def test_what_was_emitted_is_known_to_be_sent(sending):
    notifier, arrived = sending
    notifier.emit(NOTIFICATION)

    assert notifier.wait_until_sent(PATIENCE)
    assert notifier.wait_until_sent(timedelta())
    assert len(arrived()) == 1


def test_all_fulfil_the_port(sending):
    notifier: Notifier = sending[0]

    assert notifier.emit(NOTIFICATION) is None
