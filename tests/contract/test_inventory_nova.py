"""The reading tests of the inventory suite, on an inventory in Nova."""
# ruff: noqa: F401  what is imported from the suite runs here too, on this file's `stores`

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.http import open_session
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.inventory_nova import NovaAggregates, NovaApi, NovaHosts
from precache.core.errors import AggregateNotFound
from tests.contract.job_values import SetClock
from tests.contract.test_inventory import (
    NO_SUCH_IDS,
    test_a_created_aggregate_is_found_as_it_was_given,
    test_a_later_beat_moves_the_host_on_and_keeps_it_forced_down,
    test_aggregates_are_listed_by_id_each_with_its_own_hosts_and_metadata,
    test_forcing_down_and_up_returns_the_changed_host,
    test_hosts_are_listed_by_name_capitals_first,
    test_hosts_keep_the_order_in_which_they_were_added,
    test_metadata_is_merged_and_none_removes_a_key,
    test_names_of_255_characters_of_any_script_are_kept,
    test_names_that_differ_only_in_case_or_accent_are_different,
    test_of_three_thousand_names_those_that_exist_are_found,
    test_pages_of_hosts_show_each_once_in_the_same_order_as_the_whole_list,
    test_renaming_returns_the_changed_aggregate,
    test_the_first_beat_registers_host_and_cell,
)
from tests.lab.played_nova import NovaOperator, PlayedNova


@dataclass(frozen=True)
class Inventory:
    """The ports that the suite asks for."""

    aggregates: NovaAggregates
    aggregate_changes: Any
    hosts: NovaHosts
    host_changes: Any
    host_reports: Any
    clock: SetClock


class ChangedInNova:
    """The changes of the suite, made through Nova's API."""

    def __init__(self, nova, aggregates, hosts):
        self._nova, self._operator = nova, NovaOperator(nova.url)
        self._aggregates, self._hosts = aggregates, hosts

    def create_aggregate(self, name, metadata, now):
        self._nova.now = now
        made = self._operator.create_aggregate(name, metadata)
        self._nova.forget_update(made)
        return self._aggregates.get_aggregate(made)

    def rename_aggregate(self, aggregate_id, name, now):
        self._nova.now = now
        self._operator.rename_aggregate(aggregate_id, name)
        return self._aggregates.get_aggregate(aggregate_id)

    def set_metadata(self, aggregate_id, metadata, now):
        return self._act(aggregate_id, "set_metadata", now, metadata=metadata)

    def add_host(self, aggregate_id, host, now):
        return self._act(aggregate_id, "add_host", now, host=host)

    def remove_host(self, aggregate_id, host, now):
        return self._act(aggregate_id, "remove_host", now, host=host)

    def set_forced_down(self, name, forced_down):
        self._operator.change_service(name, forced_down=forced_down)
        return self._hosts.find_hosts([name])[name]

    def _act(self, aggregate_id, action, now, **fields):
        self._nova.now = now
        self._operator.act(aggregate_id, action, **fields)
        return self._aggregates.get_aggregate(aggregate_id)


class HeardByBoth:
    """Each host has a nova-compute beside its Precache compute."""

    def __init__(self, nova, ours):
        self._nova, self._ours = nova, ours

    def store_heartbeats(self, beats):
        for beat in beats:
            self._nova.add_compute(beat.host)
        self._ours.store_heartbeats(beats)


@pytest.fixture
def stores():
    clock = SetClock()
    ours = MemoryInventory(clock=clock)
    with PlayedNova() as nova:
        api = NovaApi(session=open_session(), endpoint=nova.url)
        aggregates = NovaAggregates(api=api)
        hosts = NovaHosts(api=api, hosts=ours, clock=MemoryClock(), cache_time=timedelta())
        changes = ChangedInNova(nova, aggregates, hosts)
        yield Inventory(aggregates, changes, hosts, changes, HeardByBoth(nova, ours), clock)


@pytest.mark.parametrize("aggregate_id", NO_SUCH_IDS)
def test_an_aggregate_that_nova_does_not_have_is_not_found(stores, aggregate_id):
    with pytest.raises(AggregateNotFound):
        stores.aggregates.get_aggregate(aggregate_id)
