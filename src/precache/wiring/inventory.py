"""The objects of the inventory's ports, by the configured source of hosts and aggregates."""

from __future__ import annotations

from dataclasses import dataclass

from keystoneauth1.session import Session

from precache.adapters.clock_system import SystemClock
from precache.adapters.inventory_nova import ForeignInventory, NovaAggregates, NovaApi, NovaHosts
from precache.adapters.inventory_sql import SqlAggregateChanges, SqlAggregateQueries, SqlHostRemoval, SqlHosts
from precache.adapters.sql import Database
from precache.config.load import Config
from precache.ports.inventory import AggregateChanges, AggregateQueries, HostChanges, HostQueries, HostRemoval


@dataclass(frozen=True, slots=True)
class Inventory:
    """One object for each port of `ports/inventory.py` except heartbeats, which are always stored in the database."""

    aggregates: AggregateQueries
    aggregate_changes: AggregateChanges
    hosts: HostQueries
    host_changes: HostChanges
    host_removal: HostRemoval


def local_inventory(database: Database) -> Inventory:
    """Return the inventory in the service's own database."""
    hosts = SqlHosts(database=database)
    return Inventory(
        aggregates=SqlAggregateQueries(database=database),
        aggregate_changes=SqlAggregateChanges(database=database),
        hosts=hosts,
        host_changes=hosts,
        host_removal=SqlHostRemoval(database=database),
    )


def configured_inventory(config: Config, database: Database, session: Session) -> Inventory:
    """Return Nova's inventory or the local one, by [inventory] source. session: with the service user's credentials."""
    if not config.inventory.is_from_nova:
        return local_inventory(database)
    api, foreign = nova_api(config, session), ForeignInventory(owner="Nova")
    return Inventory(
        aggregates=NovaAggregates(api=api),
        aggregate_changes=foreign,
        hosts=NovaHosts(
            api=api, hosts=SqlHosts(database=database), clock=SystemClock(), cache_time=config.nova.cache_time
        ),
        host_changes=foreign,
        host_removal=SqlHostRemoval(database=database, owns_aggregates=False),
    )


def nova_api(config: Config, session: Session) -> NovaApi:
    """Return a client of Nova at the configured endpoint, else at the catalogue's; sends no request yet."""
    nova, user = config.nova, config.service_user
    return NovaApi(
        session=session,
        endpoint=nova.endpoint_override,
        region_name=nova.region_name or user.region_name,
        interfaces=nova.valid_interfaces or user.interfaces,
        connect_timeout=nova.connect_timeout,
        read_timeout=nova.read_timeout,
    )
