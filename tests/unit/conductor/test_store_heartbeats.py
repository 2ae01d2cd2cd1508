"""Heartbeats of all cells: none takes another's hosts."""

import logging
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.store_heartbeats import StoreHeartbeats
from precache.core.hosts import Heartbeat

DOWN_TIME = timedelta(seconds=60)


@pytest.fixture
def clock():
    return MemoryClock()


@pytest.fixture
def inventory(clock):
    return MemoryInventory(clock=clock)


@pytest.fixture
def note(inventory, clock):
    notes = noting(inventory)
    return lambda *heard: notes.store_heartbeats([Heartbeat(host, cell, "fake", clock.now()) for host, cell in heard])


def noting(inventory, most_per_cell=1000, most_remembered=1000):
    return StoreHeartbeats(
        hosts=inventory,
        sizes=inventory,
        reports=inventory,
        service_down_time=DOWN_TIME,
        most_per_cell=most_per_cell,
        most_remembered=most_remembered,
    )


def cells(inventory):
    return {host.name: host.cell for host in inventory.list_hosts()}


def test_a_cell_cannot_take_the_hosts_of_another(note, inventory):
    note(("cmp-1", "cell1"))

    note(("cmp-1", "cell2"), ("cmp-2", "cell2"))

    assert cells(inventory) == {"cmp-1": "cell1", "cmp-2": "cell2"}


def test_a_host_that_moved_is_its_new_cells_once_the_old_one_was_silent(note, inventory, clock):
    note(("cmp-1", "cell1"))
    clock.advance(DOWN_TIME + timedelta(seconds=1))

    note(("cmp-1", "cell2"))

    assert cells(inventory) == {"cmp-1": "cell2"}


def test_two_hosts_with_one_name_are_warned_of_once(note, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            note(("cmp-1", "cell1"))
            note(("cmp-1", "cell2"))

    (warning,) = caplog.messages
    assert "Heartbeats of host cmp-1 arrive in cell cell2, but it belongs to cell cell1" in warning
    assert "Give each of two hosts its own name" in warning


def test_two_computes_of_one_cell_with_one_name_are_warned_of_once(inventory, clock, caplog):
    notes = noting(inventory)

    def hear(*boot_ids):
        for boot_id in boot_ids:
            notes.store_heartbeats([Heartbeat("cmp-1", "cell1", "fake", clock.now(), "1.0", boot_id)])

    hear("a", "a", "b", "c", "c")  # restarted twice
    assert not caplog.messages

    hear("d", "c", "d", "c", "c", "d")

    (warning,) = caplog.messages
    assert "Two computes announce themselves as host cmp-1 in cell cell1" in warning


def test_computes_that_say_nothing_of_themselves_are_not_compared(note, caplog):
    for _ in range(3):
        note(("cmp-1", "cell1"))

    assert not caplog.messages


class TestAFullCell:
    def test_keeps_its_hosts_and_takes_no_more(self, inventory, clock, caplog):
        notes = noting(inventory, most_per_cell=2)

        def hear(cell, *names):
            notes.store_heartbeats([Heartbeat(name, cell, "fake", clock.now()) for name in names])

        hear("cell1", "a", "b", "c", "d")
        clock.advance(timedelta(seconds=1))
        hear("cell1", "d", "b", "a")
        hear("cell2", "e")

        assert cells(inventory) == {"a": "cell1", "b": "cell1", "e": "cell2"}
        assert inventory.find_hosts(["b"])["b"].last_seen == clock.now()
        (warning,) = caplog.messages
        assert "Cell cell1 has 2 hosts" in warning
        assert "such as host c, are dropped" in warning
        assert "max_hosts_per_cell" in warning

    def test_takes_none_of_another_cell(self, inventory, clock):
        notes = noting(inventory, most_per_cell=1)
        notes.store_heartbeats(
            [Heartbeat("a", "cell1", "fake", clock.now()), Heartbeat("b", "cell2", "fake", clock.now())]
        )
        clock.advance(DOWN_TIME * 2)

        notes.store_heartbeats([Heartbeat("a", "cell2", "fake", clock.now())])

        assert cells(inventory) == {"a": "cell1", "b": "cell2"}

    def test_has_room_again_when_a_host_is_deleted(self, inventory, clock):
        notes = noting(inventory, most_per_cell=1)
        notes.store_heartbeats([Heartbeat("a", "cell1", "fake", clock.now())])
        inventory.delete_host("a", timedelta(seconds=-1))

        notes.store_heartbeats([Heartbeat("b", "cell1", "fake", clock.now())])

        assert cells(inventory) == {"b": "cell1"}


def test_the_memory_of_warnings_is_bounded(inventory, clock, caplog):
    notes = noting(inventory, most_remembered=2)

    def hear(host, cell="cell2", boot_id=""):
        notes.store_heartbeats([Heartbeat(host, cell, "fake", clock.now(), "1.0", boot_id)])

    for host in "abc":
        hear(host, "cell1")
    for host in "aabbcca":  # the first is forgotten when the third comes
        hear(host)
    assert [message.split()[3] for message in caplog.messages] == ["a", "b", "c", "a"]

    caplog.clear()
    for host, boot_id in ("a1", "a2", "b1", "c1", "a1"):  # so nothing says that a1 was heard before a2
        hear(host, "cell1", boot_id)
    assert not caplog.messages
