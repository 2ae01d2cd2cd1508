"""Hosts, cells and aggregates. The ports are split by caller.

Errors: AggregateNotFound, HostNotFound, AggregateNameTaken, AggregateHostTaken, AggregateHasHosts,
AggregateHostNotFound, HostStillAlive, HostInAggregates, StoreUnavailable. Each method is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from precache.core.aggregates import Aggregate
from precache.core.hosts import Heartbeat, Host


class AggregateQueries(Protocol):
    def list_aggregates(self) -> list[Aggregate]:
        """Return all aggregates by id, in a constant number of queries."""
        ...

    def get_aggregate(self, aggregate_id: int) -> Aggregate: ...


class AggregateChanges(Protocol):
    """For deployments with `[inventory] source = local`. Every change returns the changed aggregate."""

    def create_aggregate(self, name: str, metadata: Mapping[str, str], now: datetime) -> Aggregate: ...

    def rename_aggregate(self, aggregate_id: int, name: str, now: datetime) -> Aggregate: ...

    def set_metadata(self, aggregate_id: int, metadata: Mapping[str, str | None], now: datetime) -> Aggregate:
        """Merge `metadata`; a None value removes its key (AggregateMetadataNotFound if it is not there)."""
        ...

    def add_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        """Raises HostNotFound if no compute host has this name, AggregateHostTaken if it is in already."""
        ...

    def remove_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        """Raises HostNotFound, or AggregateHostNotFound if the host is not in this aggregate."""
        ...

    def delete_aggregate(self, aggregate_id: int) -> None:
        """Raises AggregateHasHosts unless it is empty."""
        ...


class HostQueries(Protocol):
    def list_hosts(self, *, limit: int | None = None, marker: str | None = None) -> list[Host]:
        """Return hosts by name, in the order of code points; up to `limit` whose names come after `marker`.

        The marker need not exist any more.
        """
        ...

    def find_hosts(self, names: Sequence[str]) -> dict[str, Host]:
        """Return those of `names` that exist, by name; the number of queries does not depend on the number of hosts."""
        ...


class HostChanges(Protocol):
    def set_forced_down(self, name: str, forced_down: bool) -> Host: ...


class HostRemoval(Protocol):
    """For hosts that sent heartbeats, with any inventory."""

    def delete_host(self, name: str, silent_for: timedelta) -> None:
        """Delete the host. The next heartbeat registers it again; jobs keep its name and cell.

        Raises HostNotFound, HostStillAlive if its last heartbeat is not older than `silent_for` by the store's clock,
        HostInAggregates if it is in a stored aggregate.
        """
        ...


class CellSizes(Protocol):
    """For conductors, which limit the number of hosts of a cell."""

    def count_hosts(self, cell: str) -> int:
        """Return how many hosts belong to the cell; 0 for an unknown one."""
        ...


class HostSites(Protocol):
    """For the conductor that reads the metadata of aggregates."""

    def store_sites(self, sites: Mapping[str, str]) -> None:
        """Store which site aggregates give to each host, by name; the hosts that are not named have none.

        Hosts that are not known are left out. Writes only what has changed.
        """
        ...


class HostReports(Protocol):
    """For the receivers of heartbeats."""

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        """Store these heartbeats; the first one registers host and cell.

        The number of statements does not depend on the number of hosts. Each statement is a separate transaction, so
        that no row stays locked while the caller is halted. So the cell may be registered before the host.
        """
        ...
