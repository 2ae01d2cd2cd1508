"""Whoever listens on a bus says that the broker is away, and begins by itself when it is there."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import timedelta

import pytest

from precache.adapters.bus_oslo import ComputeServer, open_bus
from tests.contract.buses import PATIENCE, new_conf
from tests.played_host import PlayedHost
from tests.waiting import wait_until

pytestmark = pytest.mark.external


@pytest.fixture
def ended():
    with ExitStack() as stops:
        yield stops


def test_a_listener_says_that_the_broker_is_down_and_is_announced_once_it_listens(cell_url, rabbitmq, ended, caplog):
    rabbitmq.stop()
    ended.callback(rabbitmq.start)
    bus = open_bus(new_conf(), cell_url)
    ended.callback(bus.close)
    server = ComputeServer(bus=bus, host="cmp-1", compute=PlayedHost(lambda request: []))
    ended.callback(server.stop, PATIENCE)
    announced = threading.Event()

    server.start(then=announced.set)

    wait_until(lambda: "not available: connection refused" in caplog.text)
    assert not announced.is_set()
    rabbitmq.start()
    assert announced.wait(60)
    assert server.wait_until_listening(timedelta(0))
