"""The part of a conductor that talks to the cells: it receives reports of their hosts, and calls these."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from precache.adapters.bus_oslo import CellBuses, OsloComputes
from precache.adapters.clock_system import SystemClock
from precache.adapters.inventory_sql import SqlCacheReports, SqlCells, SqlHosts
from precache.adapters.jobs_sql import SqlProgressLog
from precache.adapters.sql import Database
from precache.background.batcher import Batcher
from precache.conductor.store_cache_reports import StoreCacheReports
from precache.conductor.store_heartbeats import StoreHeartbeats
from precache.config.load import Config
from precache.core.hosts import Heartbeat
from precache.ports.cache_inventory import PackedReport
from precache.ports.swarm_planner import SwarmPlanner
from precache.wiring.progress import STORE_INTERVAL, progress_batcher

BEATS_INTERVAL = timedelta(seconds=1)
"""Between two transactions with the heartbeats of all hosts."""

CACHE_REPORTS_INTERVAL = timedelta(seconds=2)
"""Between two times at which the reports of hosts on their image caches are stored."""

MOST_WAITING_BYTES = 100_000_000
"""Of compressed reports of a cell that wait until they are stored; ten thousand usual ones have less."""

PATIENCE = timedelta(seconds=6)
"""How long each part may take to stop."""


@dataclass(frozen=True, slots=True)
class Cells:
    """gateway: calls the hosts; it works when `start` was called.

    listening_for_s: returns for how many seconds, until now, heartbeats of a cell would have been stored.
    """

    buses: CellBuses
    gateway: OsloComputes
    listening_for_s: Callable[[str], float]

    def start(self, planner: SwarmPlanner) -> None:
        """Listen to all cells. planner: answers hosts that take part in swarms."""
        self.buses.start(planner)


def build_cells(*, config: Config, database: Database, prompt: Database, at_stop: ExitStack) -> Cells:
    """Return what talks to the cells of the database, not started.

    prompt: the same database, with the limits for leases. at_stop: gets the callbacks for the end.
    """
    hosts = SqlHosts(database=prompt)
    store_heartbeats = StoreHeartbeats(
        hosts=hosts,
        sizes=hosts,
        reports=hosts,
        service_down_time=config.host.service_down_time,
        most_per_cell=config.conductor.max_hosts_per_cell,
    )
    beats = Batcher[Heartbeat](
        write=store_heartbeats.store_heartbeats,
        key=lambda beat: (beat.host, beat.cell),
        source=lambda beat: beat.cell,
        interval=BEATS_INTERVAL,
        what="heartbeats",
    )
    progress = progress_batcher(SqlProgressLog(database=prompt).note, interval=STORE_INTERVAL)
    cache_reports = _cache_reports(config, database)
    for batcher in (beats, progress, cache_reports):
        batcher.start()
        at_stop.callback(batcher.stop, PATIENCE)
    table = SqlCells(database=database, keys=config.database.encryption_keys)
    table.list_cells()  # A conductor that cannot decrypt them would take jobs and fail them.
    buses = CellBuses(
        conf=config.oslo,
        cells=table,
        on_heartbeat=beats.add,
        on_progress=progress.add,
        on_cache_report=cache_reports.add,
        clock=SystemClock(),
    )
    at_stop.callback(buses.stop, PATIENCE)
    gateway = OsloComputes(
        buses=buses.bus_of,
        long_rpc_timeout=config.bus.long_rpc_timeout,
        call_monitor_timeout=config.bus.call_monitor_timeout,
        pin=config.upgrade_levels.compute,
    )
    at_stop.callback(gateway.stop)
    return Cells(buses, gateway, lambda cell: min(beats.lossless_for_s(cell), buses.listening_for_s(cell)))


def _cache_reports(config: Config, database: Database) -> Batcher[PackedReport]:
    store = StoreCacheReports(
        hosts=SqlHosts(database=database),
        reports=SqlCacheReports(database=database),
        service_down_time=config.host.service_down_time,
    )
    return Batcher[PackedReport](
        write=store.store_reports,
        key=lambda report: (report.host, report.cell, report.is_full),
        source=lambda report: report.cell,
        interval=CACHE_REPORTS_INTERVAL,
        what="reports on image caches",
        size=lambda report: report.size_bytes,
        most=MOST_WAITING_BYTES,
    )
