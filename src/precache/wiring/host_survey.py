"""The part of a conductor that asks hosts what they hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from precache.background.daemon_pool import DaemonPool
from precache.conductor.choose_transfers import SwarmDispatch
from precache.conductor.survey_hosts import SurveyHosts
from precache.config.load import Config
from precache.core.host_survey import Survey
from precache.ports.host_caches import HostCaches
from precache.ports.inventory import HostQueries
from precache.rules.group_by_cell import RpcRequirement
from precache.rules.transfer_choice import can_take_part
from precache.wiring.transfers import swarm_dispatch

QUESTIONS_AT_ONCE = 100
"""How many hosts are asked at once: one that is up answers in milliseconds, one that is silent in five seconds."""


def host_survey(
    *,
    config: Config,
    hosts: HostQueries,
    caches: HostCaches,
    at_stop: ExitStack,
    requirement: RpcRequirement | None = None,
    swarm_since: str | None = None,
    listening_for_s: Callable[[str], float] = lambda _cell: math.inf,
) -> SurveyHosts:
    """Return the use case. requirement: None without a bus. at_stop: gets the callbacks for the end.

    swarm_since: see `swarm_dispatch`.
    """
    swarm = swarm_dispatch(config, swarm_since)
    pool = DaemonPool(QUESTIONS_AT_ONCE, name="survey-host")
    at_stop.callback(partial(pool.shutdown, wait=False, cancel_futures=True))
    return SurveyHosts(
        hosts=hosts,
        caches=caches,
        pool=pool,
        service_down_time=config.host.service_down_time,
        requirement=requirement,
        listening_for_s=listening_for_s,
        limits=_limits(config, swarm),
        can_swarm=lambda host: swarm is not None and can_take_part(host, swarm.needed, swarm.pin),
    )


def _limits(config: Config, swarm: SwarmDispatch | None) -> Survey:
    """Return the limits of a conductor's calls, as `wiring/conductor_loop.py` gives them to its jobs."""
    limits = config.limits
    return Survey(
        {},
        hosts_at_once=min(config.image_cache.precache_concurrency, limits.max_hosts or sys.maxsize),
        hosts_per_cell=limits.max_hosts_per_cell or None,
        hosts_per_site=limits.max_hosts_per_site or None,
        host_bytes_per_s=limits.host_bytes_per_s,
        swarm=swarm.rules if swarm else None,
        swarm_hosts_at_once=min(config.swarm.hosts_at_once, limits.max_hosts or sys.maxsize) if swarm else 0,
    )
