"""Changed assignments are sent to hosts meanwhile: the last one of each, and no cell waits for another one."""

from __future__ import annotations

import threading

import pytest

from precache.background.daemon_pool import DaemonPool
from precache.conductor.send_assignments import SendAssignments
from precache.core.errors import StoreUnavailable
from precache.core.images import parse_image_id
from precache.core.relays import Assignment, Form, Relay, RelayKey, RelayMember, Source
from tests.waiting import wait_until

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")


def relay(version, cell="cell1"):
    """Return a relay in which the assignments of all hosts have this version."""
    members = tuple(RelayMember(host=f"cmp-{number}", version=version) for number in range(4))
    key = RelayKey(cell, "north", IMAGE, Form.RAW)
    return Relay(id=f"relay-{cell}", key=key, size_bytes=version, members=members)


class Signing:
    """In place of SignAssignments; cannot sign for the host `unsigned`."""

    def of_host(self, of, host, _report_interval_s):
        if host == "unsigned":
            raise StoreUnavailable("it is stopped")
        return Assignment(relay=of.id, host=host, version=of.size_bytes, source=Source.WAIT)


class Gateway:
    """The method `change_relay` of a gateway: the bus of cell `slow` accepts nothing until `go_on` is set."""

    def __init__(self):
        self.sent, self.go_on, self.entered = [], threading.Event(), threading.Event()

    def change_relay(self, host, cell, assignment):
        if cell == "slow":
            self.entered.set()
            self.go_on.wait(20)
        self.sent.append((host, cell, assignment.version))


@pytest.fixture
def gateway():
    made = Gateway()
    yield made
    made.go_on.set()


@pytest.fixture
def sending(gateway):
    return make(gateway)


def make(gateway, **options):
    return SendAssignments(gateway=gateway, signing=Signing(), interval=lambda: 2.0, pool=DaemonPool(2), **options)


def test_each_host_is_sent_its_assignment(gateway, sending):
    sending.add(relay(1), ["cmp-1", "cmp-2"])

    wait_until(lambda: gateway.sent == [("cmp-1", "cell1", 1), ("cmp-2", "cell1", 1)])


def test_an_assignment_that_has_changed_again_is_sent_once_and_no_cell_waits_for_another(gateway, sending):
    sending.add(relay(1, "slow"), ["cmp-0", "cmp-1"])
    assert gateway.entered.wait(20)
    for version in (3, 2):  # two conductor threads may come in the other order
        sending.add(relay(version, "slow"), ["cmp-1"])

    sending.add(relay(1), ["cmp-9"])
    wait_until(lambda: gateway.sent == [("cmp-9", "cell1", 1)])
    gateway.go_on.set()

    wait_until(lambda: gateway.sent[1:] == [("cmp-0", "slow", 1), ("cmp-1", "slow", 3)])


def test_a_host_for_which_nothing_can_be_signed_does_not_hold_up_the_next_one(gateway, sending):
    sending.add(relay(1), ["unsigned", "cmp-2"])

    wait_until(lambda: gateway.sent == [("cmp-2", "cell1", 1)])


def test_a_cell_whose_bus_is_down_does_not_fill_the_memory(gateway):
    sending = make(gateway, most=2)
    sending.add(relay(1, "slow"), ["cmp-0"])
    assert gateway.entered.wait(20)

    sending.add(relay(1, "slow"), ["cmp-1", "cmp-2", "cmp-3"])
    gateway.go_on.set()
    wait_until(lambda: len(gateway.sent) == 3)

    sending.add(relay(2, "slow"), ["cmp-3"])
    wait_until(lambda: gateway.sent[-1] == ("cmp-3", "slow", 2))
    assert len(gateway.sent) == 4
