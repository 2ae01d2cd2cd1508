"""All stores that the suites run on. To add one, add a line to STORES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.duties_sql import SqlDuties
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.inventory_sql import (
    SqlAggregateChanges,
    SqlAggregateQueries,
    SqlCacheQueries,
    SqlCacheReports,
    SqlCells,
    SqlHostRemoval,
    SqlHosts,
    SqlImageStatuses,
)
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.jobs_sql import (
    SqlDeliveryQueue,
    SqlJobClaims,
    SqlJobIntake,
    SqlJobLeases,
    SqlJobPurge,
    SqlJobQueries,
    SqlJobSnapshots,
    SqlJobSteering,
    SqlNoticeOutbox,
    SqlProgressLog,
    SqlTransferRates,
)
from precache.adapters.notices_memory import MemoryDuties, MemoryNotices
from precache.adapters.permits_memory import MemoryCallPermits
from precache.adapters.permits_sql import SqlCallPermits
from precache.adapters.relays_memory import MemoryRelays
from precache.adapters.relays_sql import SqlHostLoad, SqlHostRates, SqlRelayQueries, SqlRelays, SqlRelayTasks
from precache.adapters.sql import Database, SqlProbe, open_database
from precache.adapters.tokens_memory import MemoryTokens
from precache.adapters.tokens_sql import SqlTokens
from precache.core.host_calls import CallLimits
from precache.ports.cache_inventory import CacheQueries, CacheReports, ImageStatuses
from precache.ports.call_permits import CallPermits
from precache.ports.inventory import (
    AggregateChanges,
    AggregateQueries,
    CellSizes,
    HostChanges,
    HostQueries,
    HostRemoval,
    HostReports,
    HostSites,
)
from precache.ports.job_notices import DeliveryQueue, Duties, NoticeOutbox
from precache.ports.job_store import (
    JobClaims,
    JobIntake,
    JobLeases,
    JobPurge,
    JobQueries,
    JobSnapshots,
    JobSteering,
    ProgressLog,
    StoreProbe,
)
from precache.ports.relay_store import HostLoad, HostRatesStore, RelayQueries, RelayStore, RelayTasks
from precache.ports.tokens import TokenChanges, TokenQueries
from precache.ports.transfer_rates import TransferRates
from tests.contract.job_values import SetClock

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""The encryption key for stores that store secrets."""


@dataclass(frozen=True)
class Stores:
    """One empty store, by its ports."""

    intake: JobIntake
    queries: JobQueries
    snapshots: JobSnapshots
    steering: JobSteering
    claims: JobClaims
    leases: JobLeases
    purge: JobPurge
    notices: NoticeOutbox
    deliveries: DeliveryQueue
    duties: Duties
    progress: ProgressLog
    rates: TransferRates
    permits: Callable[[CallLimits, timedelta], CallPermits]
    probe: StoreProbe
    aggregates: AggregateQueries
    aggregate_changes: AggregateChanges
    hosts: HostQueries
    host_changes: HostChanges
    host_removal: HostRemoval
    host_reports: HostReports
    host_sites: HostSites
    cell_sizes: CellSizes
    cache_reports: CacheReports
    caches: CacheQueries
    image_statuses: ImageStatuses
    relays: RelayStore
    relay_tasks: RelayTasks
    host_load: HostLoad
    relay_queries: RelayQueries
    host_rates: HostRatesStore
    tokens: TokenQueries
    token_changes: TokenChanges
    close: Callable[[], None]
    clock: SetClock  # the store's clock: all its times come from it
    cells: SqlCells | None = None  # these are stored in databases only
    database: Database | None = None  # if there is one, so that its statements can be counted


def in_memory(request: pytest.FixtureRequest) -> Stores:
    clock = SetClock()
    notices = MemoryNotices(now=clock.now, find_job=lambda job_id: jobs.find(job_id))
    inventory = MemoryInventory(clock=clock, on_delete=lambda host: caches.delete_host(host))
    caches = MemoryCacheInventory(clock=clock, find_host=lambda name: inventory.find_hosts([name]).get(name))
    jobs = MemoryJobs(clock=clock, on_change=notices.add, find_host=lambda name: inventory.find_hosts([name]).get(name))
    tokens = MemoryTokens()
    relays = MemoryRelays(clock=clock, jobs=jobs)
    return Stores(
        intake=jobs,
        queries=jobs,
        snapshots=jobs,
        steering=jobs,
        claims=jobs,
        leases=jobs,
        purge=jobs,
        notices=notices,
        deliveries=notices.deliveries,
        duties=MemoryDuties(now=clock.now),
        progress=jobs,
        rates=jobs,
        permits=lambda limits, longest: MemoryCallPermits(jobs=jobs, clock=clock, limits=limits, longest_call=longest),
        probe=jobs,
        aggregates=inventory,
        aggregate_changes=inventory,
        hosts=inventory,
        host_changes=inventory,
        host_removal=inventory,
        host_reports=inventory,
        host_sites=inventory,
        cell_sizes=inventory,
        cache_reports=caches,
        caches=caches,
        image_statuses=caches,
        relays=relays,
        relay_tasks=relays,
        host_load=relays,
        relay_queries=relays,
        host_rates=relays,
        tokens=tokens,
        token_changes=tokens,
        close=lambda: None,
        clock=clock,
    )


def on_sql(url_fixture: str) -> Callable[[pytest.FixtureRequest], Stores]:
    """Open the migrated, empty database whose URL that fixture gives."""
    return lambda request: of_url(request.getfixturevalue(url_fixture))


def of_url(url: str) -> Stores:
    clock = SetClock()
    return of_database(open_database(url, clock=clock, is_time_local=True), clock)


def of_database(database: Database, clock: SetClock) -> Stores:
    hosts = SqlHosts(database=database)
    tokens = SqlTokens(database=database)
    return Stores(
        intake=SqlJobIntake(database=database),
        queries=SqlJobQueries(database=database),
        snapshots=SqlJobSnapshots(database=database),
        steering=SqlJobSteering(database=database),
        claims=SqlJobClaims(database=database),
        leases=SqlJobLeases(database=database),
        purge=SqlJobPurge(database=database),
        notices=SqlNoticeOutbox(database=database),
        deliveries=SqlDeliveryQueue(database=database),
        duties=SqlDuties(database=database),
        progress=SqlProgressLog(database=database),
        rates=SqlTransferRates(database=database),
        permits=lambda limits, longest: SqlCallPermits(database=database, limits=limits, longest_call=longest),
        probe=SqlProbe(database=database),
        aggregates=SqlAggregateQueries(database=database),
        aggregate_changes=SqlAggregateChanges(database=database),
        hosts=hosts,
        host_changes=hosts,
        host_removal=SqlHostRemoval(database=database),
        host_reports=hosts,
        host_sites=hosts,
        cell_sizes=hosts,
        cache_reports=SqlCacheReports(database=database),
        caches=SqlCacheQueries(database=database),
        image_statuses=SqlImageStatuses(database=database),
        relays=SqlRelays(database=database),
        relay_tasks=SqlRelayTasks(database=database),
        host_load=SqlHostLoad(database=database),
        relay_queries=SqlRelayQueries(database=database),
        host_rates=SqlHostRates(database=database),
        tokens=tokens,
        token_changes=tokens,
        close=database.close,
        clock=clock,
        cells=SqlCells(database=database, keys=[KEY]),
        database=database,
    )


STORES = {
    "memory": in_memory,
    "sqlite": on_sql("sqlite_url"),
    "postgresql": on_sql("postgresql_url"),
    "mariadb": on_sql("mariadb_url"),
}

EXTERNAL = {"postgresql", "mariadb"}
"""Those that need a server of their own."""
