"""Reports on caches of all cells: none speaks for another's hosts, and few are unpacked at a time."""

import logging
from datetime import timedelta

import pytest

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.store_cache_reports import BYTES_AT_ONCE, REPORTS_AT_ONCE, StoreCacheReports
from precache.core.hosts import Heartbeat
from tests.contract.cache_values import entry_of, full

DOWN_TIME = timedelta(seconds=60)


class Packed:
    """The port `PackedReport`."""

    size_bytes, is_full = 1, True

    def __init__(self, report):
        self.host, self.cell, self._report = report.host, report.cell, report

    def unpack(self):
        return self._report


class Invalid(Packed):
    def unpack(self):
        return None


class World:
    def __init__(self):
        self.clock = MemoryClock()
        self.hosts = MemoryInventory(clock=self.clock)
        self.caches = MemoryCacheInventory(
            clock=self.clock, find_host=lambda name: self.hosts.find_hosts([name]).get(name)
        )
        self.batches = []
        self._store = StoreCacheReports(hosts=self.hosts, reports=self, service_down_time=DOWN_TIME)

    def store_reports(self, reports):
        self.batches.append(len(reports))
        return self.caches.store_reports(reports)

    def beat(self, host, cell="cell1"):
        self.hosts.store_heartbeats([Heartbeat(host, cell, "fake", self.clock.now())])

    def report(self, *reports, kind=Packed):
        self._store.store_reports([kind(report) for report in reports])

    def held(self, host="cmp-1"):
        return [each.entry for each in self.caches.list_entries(host)]


@pytest.fixture
def world():
    return World()


def test_a_cell_cannot_report_of_the_hosts_of_another(world, caplog):
    world.beat("cmp-1")
    world.report(full(1))

    with caplog.at_level(logging.WARNING):
        for sequence in (2, 3):
            world.report(full(2, cell="cell2", sequence=sequence))

    assert world.held() == [entry_of(1)]
    (warning,) = caplog.messages
    assert "host cmp-1 on its image cache arrive in cell cell2, but it belongs to cell cell1" in warning


def test_a_host_that_moved_reports_when_its_heartbeats_have_moved_it(world):
    world.beat("cmp-1")
    world.clock.advance(DOWN_TIME + timedelta(seconds=1))
    world.report(full(1, cell="cell2"))
    assert world.held() == []

    world.beat("cmp-1", "cell2")
    world.report(full(1, cell="cell2"))

    assert world.held() == [entry_of(1)]


def test_a_report_before_the_first_heartbeat_is_dropped_and_the_next_one_stored(world):
    world.report(full(1))
    world.beat("cmp-1")
    assert world.held() == []

    world.report(full(1, sequence=2))

    assert world.held() == [entry_of(1)]


def test_a_report_that_is_not_valid_does_not_stop_the_others(world):
    world.beat("cmp-1")
    world.beat("cmp-2")

    world.report(full(9, host="cmp-2"), kind=Invalid)
    world.report(full(1))

    assert (world.held(), world.held("cmp-2")) == ([entry_of(1)], [])


def test_thousands_of_reports_are_unpacked_some_at_a_time(world):
    hosts = [f"cmp-{number}" for number in range(2 * REPORTS_AT_ONCE + 1)]
    for host in hosts:
        world.beat(host)

    world.report(*(full(1, host=host) for host in hosts))

    assert world.batches == [REPORTS_AT_ONCE, REPORTS_AT_ONCE, 1]


def test_of_large_reports_fewer_are_unpacked_at_a_time(world):
    class Large(Packed):
        size_bytes = BYTES_AT_ONCE // 2

    class Huge(Packed):
        size_bytes = BYTES_AT_ONCE + 1

    for kind in (Large, Huge):
        world.report(*(full(1, host=f"cmp-{number}") for number in range(5)), kind=kind)

    assert world.batches == [2, 2, 1, 1, 1, 1, 1, 1]
