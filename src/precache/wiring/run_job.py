"""The use case of a conductor that runs one job, built from its parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from random import random

from precache.background.daemon_pool import DaemonPool
from precache.conductor.admit_hosts import AdmitHosts
from precache.conductor.announce import Announcer
from precache.conductor.call_hosts import STOP_PATIENCE, CallHosts
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.check_canaries import CheckCanaries
from precache.conductor.choose_transfers import ChooseTransfers, SwarmDispatch
from precache.conductor.end_job import EndJob
from precache.conductor.group_hosts import GroupHosts
from precache.conductor.limit_rates import LimitRates
from precache.conductor.pause_excess import PauseExcess
from precache.conductor.run_job import WRITE_INTERVAL, RunJob
from precache.conductor.stop_hosts import STOP_HOSTS_PATIENCE, StopHosts
from precache.core.transfer_rules import TransferRules
from precache.ports.clock import Clock
from precache.ports.compute_gateway import ComputeGateway
from precache.ports.inventory import HostQueries
from precache.ports.job_store import JobClaims, JobQueries
from precache.rules.group_by_cell import RpcRequirement


def build_run_job(
    *,
    claims: JobClaims,
    queries: JobQueries,
    hosts: HostQueries,
    gateway: ComputeGateway,
    announcer: Announcer,
    clock: Clock,
    scheduler: CallScheduler,
    messages: DaemonPool,
    service_down_time: timedelta,
    listening_for_s: Callable[[str], float] = lambda _cell: math.inf,
    requirement: RpcRequirement | None = None,
    swarm: SwarmDispatch | None = None,
    write_interval: timedelta = WRITE_INTERVAL,
    stop_patience: timedelta = STOP_PATIENCE,
    hosts_patience: timedelta = STOP_HOSTS_PATIENCE,
    random: Callable[[], float] = random,
) -> RunJob:
    """Return the use case. scheduler: of the calls of all jobs. messages: the threads that send short messages.

    listening_for_s: see GroupHosts. requirement, write_interval: see RunJob. swarm: see ChooseTransfers. stop_patience,
    hosts_patience: how long a job that is to stop waits for its calls, and one that is stopped for its hosts. random:
    see AdmitHosts.
    """
    group_hosts = GroupHosts(hosts=hosts, service_down_time=service_down_time, listening_for_s=listening_for_s)
    return RunJob(
        claims=claims,
        announcer=announcer,
        clock=clock,
        group_hosts=group_hosts,
        call_hosts=CallHosts(
            gateway=gateway,
            clock=clock,
            queries=queries,
            scheduler=scheduler,
            admit_hosts=AdmitHosts(
                group_hosts=group_hosts,
                choose_transfers=ChooseTransfers(hosts=hosts, service_down_time=service_down_time, swarm=swarm),
                check_canaries=CheckCanaries(hosts=hosts, queries=queries),
                random=random,
            ),
            limit_rates=LimitRates(
                gateway=gateway,
                pool=messages,
                concurrency=scheduler.concurrency,
                transfers=swarm.rules if swarm else TransferRules(),
            ),
            pause_excess=PauseExcess(gateway=gateway, pool=messages),
            stop_hosts=StopHosts(gateway=gateway, clock=clock, pool=messages, patience=hosts_patience),
            stop_patience=stop_patience,
        ),
        end_job=EndJob(claims=claims, queries=queries, announcer=announcer, clock=clock),
        requirement=requirement,
        write_interval=write_interval,
    )
