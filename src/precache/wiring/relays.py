"""The part of a conductor that plans relays: it answers hosts, and looks for silent ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

from precache.adapters.clock_system import SystemClock
from precache.adapters.duties_sql import SqlDuties
from precache.adapters.relays_sql import SqlHostRates, SqlRelays, SqlRelayTasks
from precache.adapters.sql import Database
from precache.background.daemon_pool import DaemonPool
from precache.background.periodic_task import PeriodicTask
from precache.conductor.certify_hosts import CertifyHosts
from precache.conductor.held_duty import HeldDuty
from precache.conductor.message_limits import MessageLimits
from precache.conductor.plan_relays import PlanRelays
from precache.conductor.relay_hosts import RelayHosts
from precache.conductor.report_interval import ReportInterval
from precache.conductor.send_assignments import SendAssignments
from precache.conductor.sign_assignments import SignAssignments
from precache.conductor.watch_relays import WatchRelays
from precache.config.load import Config
from precache.ports.compute_gateway import ComputeGateway
from precache.ports.inventory import HostQueries
from precache.ports.swarm_trust import SwarmAuthority

WATCH_INTERVAL = timedelta(seconds=1)
"""How soon a silent host is noticed."""

DUTY_LEASE = timedelta(seconds=6)
"""After which another conductor looks for silent hosts, if the one that did has died."""

PATIENCE = timedelta(seconds=4)
"""How long a stop waits for a running transaction."""

CELLS_AT_ONCE = 8
"""To how many cells changed assignments are sent at the same time."""


def relay_planner(
    *,
    config: Config,
    database: Database,
    hosts: HostQueries,
    gateway: ComputeGateway,
    authority: SwarmAuthority,
    owner: str,
    listening_for_s: Callable[[str], float],
    at_stop: ExitStack,
) -> PlanRelays:
    """Return the planner, and start to look for silent hosts.

    hosts: the inventory. owner: of the duty, which only one process has. listening_for_s: see PlanRelays.
    at_stop: gets the callbacks for the end.
    """
    relays = SqlRelays(database=database)
    down = config.host.service_down_time
    interval = ReportInterval(relays=relays)
    signing = SignAssignments(authority=authority, clock=SystemClock())
    rates = SqlHostRates(database=database)
    planner = PlanRelays(
        relays=relays,
        rates=rates,
        hosts=RelayHosts(hosts=hosts, tasks=SqlRelayTasks(database=database), service_down_time=down),
        certificates=CertifyHosts(hosts=hosts, authority=authority, service_down_time=down),
        signing=signing,
        sending=SendAssignments(
            gateway=gateway, signing=signing, interval=interval, pool=DaemonPool(CELLS_AT_ONCE, name="assignments")
        ),
        interval=interval,
        limits=MessageLimits(),
        attestations=config.swarm.attestations,
        site_parents=config.swarm.site_parents,
        listening_for_s=listening_for_s,
    )
    duty = HeldDuty(duties=SqlDuties(database=database), name="relays", owner=owner, lease=DUTY_LEASE)
    at_stop.callback(duty.give_up)
    watch = WatchRelays(duty=duty, relays=relays, rates=rates, planner=planner, interval=interval)
    task = PeriodicTask(action=watch, interval=WATCH_INTERVAL, what="The look for silent hosts of relays")
    task.start()
    at_stop.callback(task.stop, PATIENCE)
    return planner
