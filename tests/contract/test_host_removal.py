"""Hosts that no longer exist can be deleted, without effect on other data."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest

from precache.adapters.inventory_sql import SqlCells, SqlHostRemoval
from precache.core.errors import HostInAggregates, HostNotFound, HostStillAlive
from precache.core.hosts import Heartbeat, Host
from precache.core.images import parse_image_id
from precache.core.jobs import HostAsked, HostEnded, Outcome, TaskResult
from tests.contract.job_values import NOW, claim, held, job_id, new_job, since

LATER = NOW + timedelta(seconds=60)
IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
ROUNDS = 40


def test_a_silent_host_is_deleted_and_no_other(stores):
    beat(stores, "cmp-1", "cmp-2", "CMP-1")

    stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    assert [host.name for host in stores.hosts.list_hosts()] == ["CMP-1", "cmp-2"]
    assert stores.hosts.find_hosts(["cmp-1"]) == {}


@pytest.mark.parametrize("age", [timedelta(0), timedelta(microseconds=-1)], ids=["just then", "later"])
def test_a_host_that_has_sent_a_heartbeat_since_is_kept(stores, age):
    beat(stores, "cmp-1")

    with pytest.raises(
        HostStillAlive, match=r"cmp-1 is alive: its last heartbeat was at 2026-\S+Z; stop its compute first"
    ):
        stores.host_removal.delete_host("cmp-1", since(stores, NOW + age))

    assert "cmp-1" in stores.hosts.find_hosts(["cmp-1"])


def test_a_host_that_is_forced_down_is_kept_while_it_sends_heartbeats(stores):
    beat(stores, "cmp-1")
    stores.host_changes.set_forced_down("cmp-1", True)

    with pytest.raises(HostStillAlive):
        stores.host_removal.delete_host("cmp-1", since(stores, NOW))


def test_an_unknown_host_cannot_be_deleted_nor_one_twice(stores):
    beat(stores, "cmp-1")
    stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    for name in ("cmp-1", "nowhere"):
        with pytest.raises(HostNotFound):
            stores.host_removal.delete_host(name, since(stores, LATER))


def test_a_host_in_aggregates_is_kept_and_they_are_named(stores):
    beat(stores, "cmp-1")
    for name in ("web", "db"):
        aggregate = stores.aggregate_changes.create_aggregate(name, {}, NOW)
        stores.aggregate_changes.add_host(aggregate.id, "cmp-1", NOW)

    with pytest.raises(HostInAggregates, match="cmp-1 is in aggregates db, web; remove it there first") as refused:
        stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    assert refused.value.aggregates == ("db", "web")
    for aggregate in stores.aggregates.list_aggregates():
        assert aggregate.hosts == ("cmp-1",)
        stores.aggregate_changes.remove_host(aggregate.id, "cmp-1", NOW)
    stores.host_removal.delete_host("cmp-1", since(stores, LATER))


def test_a_deleted_host_that_starts_again_registers_itself_again(stores):
    beat(stores, "cmp-1", "cmp-2")
    stores.host_changes.set_forced_down("cmp-1", True)
    stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    stores.clock.set(LATER)
    stores.host_reports.store_heartbeats([Heartbeat("cmp-1", "cell2", "fake", LATER, "1.1")])

    found = stores.hosts.find_hosts(["cmp-1"])["cmp-1"]
    assert found == Host("cmp-1", "cell2", "fake", forced_down=False, last_seen=LATER, rpc_version="1.1")


def test_a_host_that_comes_after_a_deleted_one_is_in_none_of_its_aggregates(stores):
    beat(stores, "cmp-1")
    aggregate = stores.aggregate_changes.create_aggregate("web", {}, NOW)
    stores.aggregate_changes.add_host(aggregate.id, "cmp-1", NOW)
    stores.aggregate_changes.remove_host(aggregate.id, "cmp-1", NOW)
    stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    beat(stores, "cmp-2")

    assert stores.aggregates.get_aggregate(aggregate.id).hosts == ()


def test_past_jobs_keep_the_name_and_the_cell_of_a_deleted_host(stores):
    beat(stores, "cmp-1", "cmp-2")
    stores.intake.add(new_job(1, hosts=["cmp-1", "cmp-2"], images=(IMAGE,)))
    claim(stores)
    result = TaskResult(IMAGE, Outcome.CACHED, 7, "")
    steps = [HostAsked("cmp-1", "cell1", (IMAGE,), NOW), HostEnded("cmp-1", (result,), NOW)]
    stores.claims.record(held(stores), steps)
    job, tasks = stores.queries.get(job_id(1)), stores.queries.list_tasks(job_id(1))

    for name in ("cmp-1", "cmp-2"):
        stores.host_removal.delete_host(name, since(stores, LATER))

    assert (stores.queries.get(job_id(1)), stores.queries.list_tasks(job_id(1))) == (job, tasks)
    assert {(task.host, task.cell) for task in tasks} == {("cmp-1", "cell1"), ("cmp-2", None)}


def test_heartbeats_that_come_in_while_a_host_is_deleted_register_it_again(stores):
    names = [f"cmp-{number}" for number in range(4)]

    def delete():
        for name in names:
            with suppress(HostNotFound):
                stores.host_removal.delete_host(name, since(stores, LATER))

    at_once(lambda: beat(stores, *names), lambda: beat(stores, *reversed(names)), delete)

    beat(stores, *names)
    assert [host.name for host in stores.hosts.list_hosts()] == names


def test_a_host_is_either_deleted_or_added_to_an_aggregate(stores):
    beat(stores, "cmp-1")
    aggregate = stores.aggregate_changes.create_aggregate("web", {}, NOW)
    refusals = []

    def add():
        with suppress(HostNotFound):  # and not a heartbeat of a host that is registered already
            stores.aggregate_changes.add_host(aggregate.id, "cmp-1", NOW)
            stores.aggregate_changes.remove_host(aggregate.id, "cmp-1", NOW)

    def delete():
        beat(stores, "cmp-1")
        try:
            stores.host_removal.delete_host("cmp-1", since(stores, LATER))
        except HostInAggregates as refusal:
            refusals.append(refusal.aggregates)

    at_once(add, delete)

    assert set(refusals) <= {("web",)}
    assert stores.aggregates.get_aggregate(aggregate.id).hosts in ((), ("cmp-1",))


def test_hosts_of_aggregates_that_are_not_in_use_any_more_are_deleted_from_them(stores):
    if stores.database is None:
        return  # memory has one process
    beat(stores, "cmp-1", "cmp-2")
    aggregate = stores.aggregate_changes.create_aggregate("web", {}, NOW)
    for name in ("cmp-1", "cmp-2"):
        stores.aggregate_changes.add_host(aggregate.id, name, NOW)

    SqlHostRemoval(database=stores.database, owns_aggregates=False).delete_host("cmp-1", since(stores, LATER))
    left = stores.aggregates.get_aggregate(aggregate.id).hosts
    SqlCells(database=stores.database, keys=[], owns_aggregates=False).delete_cell("cell1", since(stores, LATER))

    assert left == ("cmp-2",)
    assert stores.aggregates.get_aggregate(aggregate.id).hosts == ()


def at_once(*actions):
    """Run all actions many times, each in its own thread; raise what any of them raises."""
    together = threading.Barrier(len(actions))

    def repeat(action):
        together.wait(10)
        for _ in range(ROUNDS):
            action()

    with ThreadPoolExecutor(len(actions)) as threads:
        for done in [threads.submit(repeat, action) for action in actions]:
            done.result(60)


def beat(stores, *names):
    stores.host_reports.store_heartbeats([Heartbeat(name, "cell1", "libvirt", NOW) for name in names])
