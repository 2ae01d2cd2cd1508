"""The ports of hosts, cells and aggregates on every store."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from precache.core.errors import (
    AggregateHasHosts,
    AggregateHostNotFound,
    AggregateHostTaken,
    AggregateMetadataNotFound,
    AggregateNameTaken,
    AggregateNotFound,
    HostNotFound,
)
from precache.core.hosts import Heartbeat, Host

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
NO_SUCH_IDS = [-1, 0, 99, 2**31, 10**30]


def test_a_created_aggregate_is_found_as_it_was_given(stores):
    created = stores.aggregate_changes.create_aggregate("rack-1", {"availability_zone": "az1", "ssd": "true"}, NOW)

    assert stores.aggregates.get_aggregate(created.id) == created
    assert (created.name, created.created_at, created.updated_at, created.hosts) == ("rack-1", NOW, None, ())
    assert created.metadata == {"availability_zone": "az1", "ssd": "true"}
    assert created.availability_zone == "az1"
    assert str(UUID(created.uuid)) == created.uuid


@pytest.mark.parametrize("name", ["x" * 255, "\N{SNOWMAN}" * 255, "\N{PILE OF POO}" * 255, 'it\'s; a "name" % \\ --'])
def test_names_of_255_characters_of_any_script_are_kept(stores, name):
    created = stores.aggregate_changes.create_aggregate(name, {name: name}, NOW)

    found = stores.aggregates.get_aggregate(created.id)
    assert (found.name, found.metadata) == (name, {name: name})


def test_aggregates_are_listed_by_id_each_with_its_own_hosts_and_metadata(stores):
    beat(stores, "cmp-1", "cmp-2")
    second, first = (stores.aggregate_changes.create_aggregate(name, {"n": name}, NOW) for name in ("z", "a"))
    stores.aggregate_changes.add_host(first.id, "cmp-1", LATER)
    stores.aggregate_changes.add_host(second.id, "cmp-2", LATER)
    stores.aggregate_changes.add_host(second.id, "cmp-1", LATER)

    listed = stores.aggregates.list_aggregates()

    assert [(one.name, one.hosts, one.metadata) for one in listed] == [
        ("z", ("cmp-2", "cmp-1"), {"n": "z"}),
        ("a", ("cmp-1",), {"n": "a"}),
    ]


def test_ids_are_integers_that_are_never_used_again(stores):
    ids = []
    for name in ("first", "second", "third"):
        aggregate = stores.aggregate_changes.create_aggregate(name, {}, NOW)
        stores.aggregate_changes.delete_aggregate(aggregate.id)
        ids.append(aggregate.id)

    assert ids == sorted(set(ids))
    assert stores.aggregates.list_aggregates() == []


def test_a_name_is_taken_once_at_creation_and_when_renaming(stores):
    first = stores.aggregate_changes.create_aggregate("first", {}, NOW)
    second = stores.aggregate_changes.create_aggregate("second", {}, NOW)

    with pytest.raises(AggregateNameTaken):
        stores.aggregate_changes.create_aggregate("first", {}, NOW)
    with pytest.raises(AggregateNameTaken):
        stores.aggregate_changes.rename_aggregate(second.id, "first", LATER)

    assert stores.aggregates.list_aggregates() == [first, second]


def test_names_that_differ_only_in_case_or_accent_are_different(stores):
    names = ["rack", "Rack", "r\N{LATIN SMALL LETTER A WITH ACUTE}ck"]
    for name in names:
        stores.aggregate_changes.create_aggregate(name, {}, NOW)

    assert [aggregate.name for aggregate in stores.aggregates.list_aggregates()] == names


def test_the_name_of_a_deleted_aggregate_is_free_again(stores):
    aggregate = stores.aggregate_changes.create_aggregate("rack", {"a": "b"}, NOW)
    stores.aggregate_changes.delete_aggregate(aggregate.id)

    assert stores.aggregate_changes.create_aggregate("rack", {}, NOW).metadata == {}


def test_renaming_returns_the_changed_aggregate(stores):
    aggregate = stores.aggregate_changes.create_aggregate("old", {"a": "b"}, NOW)

    renamed = stores.aggregate_changes.rename_aggregate(aggregate.id, "new", LATER)
    again = stores.aggregate_changes.rename_aggregate(aggregate.id, "new", LATER)

    assert (renamed.name, renamed.updated_at, renamed.metadata) == ("new", LATER, {"a": "b"})
    assert renamed == again == stores.aggregates.get_aggregate(aggregate.id)


def test_metadata_is_merged_and_none_removes_a_key(stores):
    aggregate = stores.aggregate_changes.create_aggregate("rack", {"keep": "1", "change": "1", "drop": "1"}, NOW)

    changed = stores.aggregate_changes.set_metadata(aggregate.id, {"change": "2", "drop": None, "new": ""}, LATER)

    assert changed.metadata == {"keep": "1", "change": "2", "new": ""}
    assert changed.updated_at == LATER
    assert changed == stores.aggregates.get_aggregate(aggregate.id)


def test_removing_a_key_that_is_not_there_changes_nothing(stores):
    aggregate = stores.aggregate_changes.create_aggregate("rack", {"drop": "1"}, NOW)

    with pytest.raises(AggregateMetadataNotFound):
        stores.aggregate_changes.set_metadata(aggregate.id, {"a": "1", "drop": None, "missing": None}, LATER)

    assert stores.aggregates.get_aggregate(aggregate.id) == aggregate


def test_hosts_keep_the_order_in_which_they_were_added(stores):
    beat(stores, "a", "b", "c")
    aggregate = stores.aggregate_changes.create_aggregate("rack", {}, NOW)
    for name in ("c", "a", "b"):
        stores.aggregate_changes.add_host(aggregate.id, name, NOW)

    left = stores.aggregate_changes.remove_host(aggregate.id, "c", LATER)
    back = stores.aggregate_changes.add_host(aggregate.id, "c", LATER)

    assert (left.hosts, left.updated_at) == (("a", "b"), LATER)
    assert back.hosts == ("a", "b", "c")
    assert back == stores.aggregates.get_aggregate(aggregate.id)


def test_a_host_that_no_compute_has_cannot_be_added_or_removed(stores):
    aggregate = stores.aggregate_changes.create_aggregate("rack", {}, NOW)

    for change in (stores.aggregate_changes.add_host, stores.aggregate_changes.remove_host):
        with pytest.raises(HostNotFound):
            change(aggregate.id, "nowhere", LATER)

    assert stores.aggregates.get_aggregate(aggregate.id) == aggregate


def test_a_host_is_in_an_aggregate_once(stores):
    beat(stores, "cmp-1")
    aggregate = stores.aggregate_changes.create_aggregate("rack", {}, NOW)
    once = stores.aggregate_changes.add_host(aggregate.id, "cmp-1", NOW)

    with pytest.raises(AggregateHostTaken):
        stores.aggregate_changes.add_host(aggregate.id, "cmp-1", LATER)

    assert stores.aggregates.get_aggregate(aggregate.id) == once


def test_a_host_that_is_not_in_the_aggregate_cannot_be_removed_from_it(stores):
    beat(stores, "cmp-1")
    aggregate = stores.aggregate_changes.create_aggregate("rack", {}, NOW)

    with pytest.raises(AggregateHostNotFound):
        stores.aggregate_changes.remove_host(aggregate.id, "cmp-1", LATER)


def test_an_aggregate_with_hosts_is_not_deleted(stores):
    beat(stores, "cmp-1")
    aggregate = stores.aggregate_changes.create_aggregate("rack", {"a": "b"}, NOW)
    full = stores.aggregate_changes.add_host(aggregate.id, "cmp-1", NOW)

    with pytest.raises(AggregateHasHosts):
        stores.aggregate_changes.delete_aggregate(aggregate.id)

    assert stores.aggregates.get_aggregate(aggregate.id) == full
    stores.aggregate_changes.remove_host(aggregate.id, "cmp-1", NOW)
    stores.aggregate_changes.delete_aggregate(aggregate.id)


@pytest.mark.parametrize("aggregate_id", NO_SUCH_IDS)
def test_an_unknown_aggregate_is_not_found_whatever_its_id(stores, aggregate_id):
    beat(stores, "cmp-1")
    changes = stores.aggregate_changes

    for call in (
        lambda: stores.aggregates.get_aggregate(aggregate_id),
        lambda: changes.rename_aggregate(aggregate_id, "new", NOW),
        lambda: changes.set_metadata(aggregate_id, {"a": "b"}, NOW),
        lambda: changes.add_host(aggregate_id, "cmp-1", NOW),
        lambda: changes.remove_host(aggregate_id, "cmp-1", NOW),
        lambda: changes.delete_aggregate(aggregate_id),
    ):
        with pytest.raises(AggregateNotFound):
            call()


def test_the_first_beat_registers_host_and_cell(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW)])

    assert stores.hosts.list_hosts() == [Host("cmp-1", "cell1", "libvirt", forced_down=False, last_seen=NOW)]


def test_a_later_beat_moves_the_host_on_and_keeps_it_forced_down(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW)])
    stores.host_changes.set_forced_down("cmp-1", True)
    stores.clock.set(LATER)

    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell2", "fake", LATER)])

    assert stores.hosts.list_hosts() == [Host("cmp-1", "cell2", "fake", forced_down=True, last_seen=LATER)]


def test_a_beat_says_which_messages_the_compute_understands(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW, "1.0")])
    stores.host_reports.store_heartbeats([Heartbeat("cmp-2", "cell1", "libvirt", NOW, "1.0")])

    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", LATER, "1.1")])

    assert {name: host.rpc_version for name, host in stores.hosts.find_hosts(["cmp-1", "cmp-2"]).items()} == {
        "cmp-1": "1.1",
        "cmp-2": "1.0",
    }


def test_a_beat_says_which_release_runs_on_the_host(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW, release="0.1.0")])
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", LATER, release="0.2.0")])

    assert [host.release for host in stores.hosts.list_hosts()] == ["0.2.0"]


def test_a_host_has_the_cache_that_its_compute_announces(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW, cache_id="0a1b")])
    announced = stores.hosts.find_hosts(["cmp-1"])["cmp-1"].cache_id

    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW)])

    assert (announced, stores.hosts.find_hosts(["cmp-1"])["cmp-1"].cache_id) == ("0a1b", "")


def test_a_host_is_at_the_site_that_its_compute_announces_else_at_its_cell(stores):
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW, site="north")])
    announced = stores.hosts.find_hosts(["cmp-1"])["cmp-1"].site
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", LATER)])

    assert (announced, stores.hosts.find_hosts(["cmp-1"])["cmp-1"].site) == ("north", "cell1")


def test_of_several_beats_of_a_host_the_last_counts(stores):
    stores.clock.set(LATER)

    stores.host_reports.store_heartbeats([])
    stores.host_reports.store_heartbeats(
        [Heartbeat("cmp-1", "cell1", "libvirt", NOW), Heartbeat("cmp-1", "cell2", "fake", LATER)]
    )

    assert stores.hosts.list_hosts() == [Host("cmp-1", "cell2", "fake", last_seen=LATER)]


def test_conductors_that_hear_of_new_hosts_at_once_register_each_once(stores):
    together = threading.Barrier(4)

    def hear(first):
        together.wait()
        for _ in range(5):
            beat(stores, *(f"cmp-{number}" for number in range(first, first + 30)))

    with ThreadPoolExecutor(4) as conductors:
        list(conductors.map(hear, (0, 10, 20, 30), timeout=60))

    assert len(stores.hosts.list_hosts()) == 60


def test_forcing_down_and_up_returns_the_changed_host(stores):
    beat(stores, "cmp-1", "cmp-2")

    down = stores.host_changes.set_forced_down("cmp-1", True)
    between = stores.hosts.find_hosts(["cmp-1", "cmp-2"])
    up = stores.host_changes.set_forced_down("cmp-1", False)

    assert (down.forced_down, up.forced_down) == (True, False)
    assert {name: host.forced_down for name, host in between.items()} == {"cmp-1": True, "cmp-2": False}


def test_an_unknown_host_cannot_be_forced_down(stores):
    with pytest.raises(HostNotFound):
        stores.host_changes.set_forced_down("nowhere", True)


def test_the_hosts_of_a_cell_are_counted(stores):
    stores.host_reports.store_heartbeats([Heartbeat(name, "cell1", "fake", NOW) for name in ("a", "b")])
    stores.host_reports.store_heartbeats([Heartbeat("b", "cell2", "fake", LATER)])

    assert [stores.cell_sizes.count_hosts(cell) for cell in ("cell1", "cell2", "nowhere")] == [1, 1, 0]


def test_pages_of_hosts_show_each_once_in_the_same_order_as_the_whole_list(stores):
    names = ["b-2", "B-2", "_a", "b.1", "b-10", "a", "Z"]
    stores.host_reports.store_heartbeats([Heartbeat(name, "cell1", "fake", NOW) for name in names])

    pages, marker = [], None
    while page := [host.name for host in stores.hosts.list_hosts(limit=3, marker=marker)]:
        pages.append(page)
        marker = page[-1]

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == sorted(names)
    assert [host.name for host in stores.hosts.list_hosts()] == sorted(names)
    assert [host.name for host in stores.hosts.list_hosts(marker="b-")] == ["b-10", "b-2", "b.1"]


def test_hosts_are_listed_by_name_capitals_first(stores):
    beat(stores, "b", "a", "B", "\N{LATIN SMALL LETTER A WITH ACUTE}")

    assert [host.name for host in stores.hosts.list_hosts()] == ["B", "a", "b", "\N{LATIN SMALL LETTER A WITH ACUTE}"]


def test_of_three_thousand_names_those_that_exist_are_found(stores):
    beat(stores, "cmp-0", "cmp-1500", "cmp-2999", "elsewhere")

    found = stores.hosts.find_hosts([f"cmp-{number}" for number in range(3000)] + ["cmp-0", "CMP-0"])

    assert sorted(found) == ["cmp-0", "cmp-1500", "cmp-2999"]
    assert all(found[name].name == name and found[name].cell == "cell1" for name in found)
    assert stores.hosts.find_hosts([]) == {}


def beat(stores, *names):
    stores.host_reports.store_heartbeats([Heartbeat(name, "cell1", "libvirt", NOW) for name in names])


def test_a_host_is_in_the_site_that_it_announces_else_in_that_of_an_aggregate_else_in_its_cell(stores):
    stores.host_reports.store_heartbeats(
        [
            Heartbeat("announcing", "east", "fake", NOW, site="shop-7"),
            Heartbeat("grouped", "east", "fake", NOW),
            Heartbeat("plain", "east", "fake", NOW),
        ]
    )

    stores.host_sites.store_sites({"announcing": "edge-1", "grouped": "edge-1", "unknown": "edge-1"})

    assert sites(stores) == {"announcing": "shop-7", "grouped": "edge-1", "plain": "east"}
    stores.host_reports.store_heartbeats([Heartbeat("grouped", "east", "fake", NOW)])
    assert sites(stores)["grouped"] == "edge-1"
    stores.host_sites.store_sites({"plain": "edge-2", "announcing": "edge-1"})
    assert sites(stores) == {"announcing": "shop-7", "grouped": "east", "plain": "edge-2"}


def sites(stores):
    return {host.name: host.site for host in stores.hosts.list_hosts()}
