"""The conductor: its loop, the use case that it runs, and the pool that limits how many hosts are called at once."""

from __future__ import annotations

import math
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_wrapped import RateCapped
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobLeases, SqlJobQueries
from precache.adapters.permits_sql import SqlCallPermits
from precache.adapters.relays_sql import SqlHostLoad, SqlHostRates
from precache.adapters.sql import Database
from precache.background.daemon_pool import DaemonPool
from precache.conductor.announce import Announcer
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.order_calls import OrderCalls
from precache.conductor.permit_keeper import PermitKeeper
from precache.conductor.work_loop import WorkLoop
from precache.config.load import Config
from precache.ports.compute_gateway import ComputeGateway
from precache.ports.notifier import Notifier
from precache.rules.group_by_cell import RpcRequirement
from precache.wiring.inventory import Inventory
from precache.wiring.run_job import build_run_job
from precache.wiring.transfers import swarm_dispatch

PATIENCE = timedelta(seconds=6)
"""How long the return of permits may take at the end."""

MESSAGES_AT_ONCE = 50
"""How many hosts are told at once to stop a job, or to change its rates: one that is up answers in milliseconds, one
that is down in ten seconds."""


def conductor_loop(
    *,
    config: Config,
    database: Database,
    leases: Database,
    inventory: Inventory,
    gateway: ComputeGateway,
    notifier: Notifier,
    at_stop: ExitStack,
    requirement: RpcRequirement | None = None,
    swarm_since: str | None = None,
    listening_for_s: Callable[[str], float] = lambda _cell: math.inf,
) -> WorkLoop:
    """Return the loop, not started. requirement: None without a bus. at_stop: gets the callbacks for the end.

    leases: the same database, with the limits for leases.
    swarm_since: see `swarm_dispatch`.
    listening_for_s: see GroupHosts; infinite if the computes store their heartbeats themselves.
    """
    claims = SqlJobClaims(database=database)
    order = OrderCalls(rates=SqlHostRates(database=database), load=SqlHostLoad(database=database))
    swarm = swarm_dispatch(config, swarm_since, order)
    if config.limits.host_bytes_per_s is not None:
        gateway = RateCapped(gateway, bytes_per_s=config.limits.host_bytes_per_s)
        requirement = requirement and requirement.with_options()
    run_job = build_run_job(
        claims=claims,
        queries=SqlJobQueries(database=database),
        hosts=inventory.hosts,
        gateway=gateway,
        announcer=Announcer(notifier=notifier, origin=socket.gethostname()),
        clock=SystemClock(),
        scheduler=_start_scheduler(config, leases, at_stop, has_swarms=swarm is not None),
        messages=_pool(MESSAGES_AT_ONCE, "tell-host", at_stop),
        service_down_time=config.host.service_down_time,
        listening_for_s=listening_for_s,
        requirement=requirement,
        swarm=swarm,
    )
    return WorkLoop(
        claims=claims,
        leases=SqlJobLeases(database=leases),
        run_job=run_job,
        owner=f"{socket.gethostname()}:{uuid.uuid4()}",
        lease=config.conductor.lease,
        poll_interval=config.conductor.poll_interval,
        jobs_at_once=config.conductor.jobs_at_once,
    )


def _start_scheduler(config: Config, leases: Database, at_stop: ExitStack, *, has_swarms: bool) -> CallScheduler:
    """Return the scheduler of all calls; if there are limits over all conductors, with its permits kept."""
    limits = config.limits
    # More threads than the limit could never be used.
    most = limits.max_hosts or sys.maxsize
    concurrency = min(config.image_cache.precache_concurrency, most)
    swarm_concurrency = min(config.swarm.hosts_at_once, most) if has_swarms else 0
    scheduler = CallScheduler(
        pool=_pool(concurrency + swarm_concurrency, "ask-host", at_stop),
        concurrency=concurrency,
        swarm_concurrency=swarm_concurrency,
        needs_permits=limits.calls.are_set,
    )
    if scheduler.needs_permits:
        longest_call = config.bus.long_rpc_timeout + config.bus.call_monitor_timeout
        permits = SqlCallPermits(database=leases, limits=limits.calls, longest_call=longest_call)
        keeper = PermitKeeper(permits=permits, scheduler=scheduler)
        keeper.start()
        at_stop.callback(keeper.stop, PATIENCE)
    return scheduler


def _pool(threads: int, name: str, at_stop: ExitStack) -> DaemonPool:
    pool = DaemonPool(threads, name=name)
    at_stop.callback(partial(pool.shutdown, wait=False, cancel_futures=True))
    return pool
