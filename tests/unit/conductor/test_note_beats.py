"""Heartbeats of all cells: none takes another's hosts."""

import logging
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.note_beats import NoteBeats
from precache.core.hosts import HostBeat

DOWN_TIME = timedelta(seconds=60)


@pytest.fixture
def clock():
    return MemoryClock()


@pytest.fixture
def inventory():
    return MemoryInventory()


@pytest.fixture
def note(inventory, clock):
    notes = NoteBeats(hosts=inventory, reports=inventory, service_down_time=DOWN_TIME)
    return lambda *heard: notes.note_beats([HostBeat(host, cell, "fake", clock.now()) for host, cell in heard])


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
    assert "Host cmp-1 is heard of in cell cell2, but belongs to cell cell1" in warning
    assert "Give each of two hosts its own name" in warning


def test_two_computes_of_one_cell_with_one_name_are_warned_of_once(inventory, clock, caplog):
    notes = NoteBeats(hosts=inventory, reports=inventory, service_down_time=DOWN_TIME)

    def hear(*incarnations):
        for incarnation in incarnations:
            notes.note_beats([HostBeat("cmp-1", "cell1", "fake", clock.now(), "1.0", incarnation)])

    hear("a", "a", "b", "c", "c")  # restarted twice
    assert not caplog.messages

    hear("d", "c", "d", "c", "c", "d")

    (warning,) = caplog.messages
    assert "Two computes announce themselves as host cmp-1 in cell cell1" in warning


def test_computes_that_say_nothing_of_themselves_are_not_compared(note, caplog):
    for _ in range(3):
        note(("cmp-1", "cell1"))

    assert not caplog.messages
