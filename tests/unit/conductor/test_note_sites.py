"""The sites that aggregates give to their hosts."""

from datetime import UTC, datetime

import pytest

from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.notices_memory import MemoryDuties
from precache.conductor.held_duty import HeldDuty
from precache.conductor.note_sites import NoteSites
from precache.core.hosts import Heartbeat
from tests.contract.job_values import LEASE

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def inventory():
    inventory = MemoryInventory()
    inventory.store_heartbeats([Heartbeat(host, "east", "fake", NOW) for host in ("a", "b")])
    return inventory


@pytest.fixture
def duties():
    return MemoryDuties(now=lambda: NOW)


def noting(inventory, duties, owner="one"):
    duty = HeldDuty(duties=duties, name="sites", owner=owner, lease=LEASE)
    return NoteSites(duty=duty, aggregates=inventory, sites=inventory)


def aggregate(inventory, name, site, *hosts):
    made = inventory.create_aggregate(name, {"precache_site": site}, NOW)
    for host in hosts:
        inventory.add_host(made.id, host, NOW)
    return made.id


def sites(inventory):
    return {host.name: host.site for host in inventory.list_hosts()}


def test_hosts_of_an_aggregate_are_in_its_site_as_long_as_its_metadata_says_so(inventory, duties):
    note_sites, made = noting(inventory, duties), aggregate(inventory, "racks", "edge-1", "a")

    note_sites()
    assert sites(inventory) == {"a": "edge-1", "b": "east"}

    inventory.set_metadata(made, {"precache_site": None}, NOW)
    note_sites()
    assert sites(inventory) == {"a": "east", "b": "east"}


def test_of_two_aggregates_that_disagree_the_first_by_name_counts_with_one_warning(inventory, duties, caplog):
    aggregate(inventory, "z-rack", "edge-2", "a", "b")
    first = aggregate(inventory, "a-rack", "edge-1", "b", "a")
    aggregate(inventory, "same", "edge-1", "a")
    note_sites = noting(inventory, duties)

    note_sites()
    note_sites()

    assert sites(inventory) == {"a": "edge-1", "b": "edge-1"}
    assert [record.getMessage() for record in caplog.records] == [
        "Aggregates a-rack and z-rack name different sites (precache_site) for 2 hosts, such as a. That of a-rack "
        "counts, the first by name; correct the other one, or set [DEFAULT] site on these hosts"
    ]
    inventory.set_metadata(first, {"precache_site": "edge-2"}, NOW)
    note_sites()
    inventory.set_metadata(first, {"precache_site": "edge-3"}, NOW)
    note_sites()
    assert sum("a-rack and z-rack" in each.getMessage() for each in caplog.records) == 2


def test_metadata_that_is_no_name_is_ignored_with_one_warning(inventory, duties, caplog):
    aggregate(inventory, "racks", "edge 1", "a")
    note_sites = noting(inventory, duties)

    note_sites()
    note_sites()

    assert sites(inventory)["a"] == "east"
    assert len(caplog.records) == 1
    assert "precache_site = 'edge 1' of aggregate racks is ignored" in caplog.text


def test_only_one_conductor_stores_them(inventory, duties):
    aggregate(inventory, "racks", "edge-1", "a")
    noting(inventory, duties, owner="one")()
    inventory.store_sites({})

    noting(inventory, duties, owner="two")()

    assert sites(inventory)["a"] == "east"
