"""Refuses changes of an inventory that Nova owns, with the name of the service where they must be made."""
# ruff: noqa: ARG002  the ports define the signatures, and the arguments are not used

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from precache.core.aggregates import Aggregate
from precache.core.errors import InventoryForeign
from precache.core.hosts import Host


class ForeignInventory:
    """The ports `AggregateChanges` and `HostChanges`, every method of which raises InventoryForeign."""

    def __init__(self, *, owner: str) -> None:
        self._owner = owner

    def create_aggregate(self, name: str, metadata: Mapping[str, str], now: datetime) -> Aggregate:
        raise InventoryForeign(self._owner)

    def rename_aggregate(self, aggregate_id: int, name: str, now: datetime) -> Aggregate:
        raise InventoryForeign(self._owner)

    def set_metadata(self, aggregate_id: int, metadata: Mapping[str, str | None], now: datetime) -> Aggregate:
        raise InventoryForeign(self._owner)

    def add_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        raise InventoryForeign(self._owner)

    def remove_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        raise InventoryForeign(self._owner)

    def delete_aggregate(self, aggregate_id: int) -> None:
        raise InventoryForeign(self._owner)

    def set_forced_down(self, name: str, forced_down: bool) -> Host:
        raise InventoryForeign(self._owner)
