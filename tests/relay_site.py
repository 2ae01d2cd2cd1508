"""Conductors that plan the relays of one site, on one store, and what its hosts are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from precache.background.daemon_pool import DaemonPool
from precache.conductor.certify_hosts import CertifyHosts
from precache.conductor.held_duty import HeldDuty
from precache.conductor.message_limits import PER_S, MessageLimits
from precache.conductor.plan_relays import PlanRelays
from precache.conductor.relay_hosts import RelayHosts
from precache.conductor.report_interval import ReportInterval
from precache.conductor.send_assignments import SendAssignments
from precache.conductor.sign_assignments import SignAssignments
from precache.conductor.watch_relays import WatchRelays
from precache.core.errors import StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import NewJob
from precache.core.orders import ImageOrder
from precache.core.relays import Assignment, Form, JoinRequest, RelayReport, ReportKind
from tests.swarm_hosts import SwarmHosts

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
JOB = "00000000-0000-0000-0000-000000000001"
CELL = "cell1"
ROOT = "tree-sha256:" + "1b" * 32
DOWN_AFTER = timedelta(seconds=60)


class RelaySite:
    """Hosts cmp-0, cmp-1, ... of a job, and conductors on one store, which take turns in answering them.

    images: of the job. per_s: messages of each host that a conductor accepts.
    sent: by host, the last assignment that was sent to it. monotonic_s: the conductors' own clock.
    """

    def __init__(self, stores, *, hosts: int = 4, conductors: int = 2, images=(IMAGE,), per_s: int = PER_S) -> None:
        self.stores = stores
        self.relays = BreakableStore(stores.relays)
        self.names = [f"cmp-{number}" for number in range(hosts)]
        self.sent: dict[str, Assignment] = {}
        self.monotonic_s = 1000.0
        self.listening_s = 1000.0
        self.trust = SwarmHosts(clock=_StoresClock(stores))
        self._per_s = per_s
        self.beat(*self.names)
        stores.intake.add(_job(self.names, images, stores.clock.now()))
        self.conductors = [self.conductor() for _ in range(conductors)]
        self.monotonic_s += 1000.0
        self._turn = 0

    def beat(self, *names: str, site: str = "north", cell: str = CELL) -> None:
        now = self.stores.clock.now()
        self.stores.host_reports.store_heartbeats([Heartbeat(name, cell, "fake", now, site=site) for name in names])

    def conductor(self) -> PlanRelays:
        """Return another conductor, which knows only what is in the store."""
        hosts, relays, authority = self.stores.hosts, self.relays, self.trust.authority
        signing = SignAssignments(authority=authority, clock=self.trust.clock)
        interval = ReportInterval(relays=relays, monotonic=self.monotonic)
        return PlanRelays(
            relays=relays,
            rates=self.stores.host_rates,
            hosts=RelayHosts(
                hosts=hosts, tasks=self.stores.relay_tasks, service_down_time=DOWN_AFTER, monotonic=self.monotonic
            ),
            certificates=CertifyHosts(hosts=hosts, authority=authority, service_down_time=DOWN_AFTER),
            signing=signing,
            sending=SendAssignments(gateway=self, signing=signing, interval=interval, pool=DaemonPool(2)),
            interval=interval,
            limits=MessageLimits(per_s=self._per_s, monotonic=self.monotonic),
            attestations=1,
            site_parents={"edge1": "north", "edge2": "north"},
            listening_for_s=lambda cell: self.listening_s,
            monotonic=self.monotonic,
        )

    def watch(self) -> WatchRelays:
        duty = HeldDuty(duties=self.stores.duties, name="relays", owner="me", lease=timedelta(seconds=6))
        return WatchRelays(
            duty=duty,
            relays=self.relays,
            rates=self.stores.host_rates,
            planner=self.conductors[0],
            interval=ReportInterval(relays=self.relays, monotonic=self.monotonic),
            monotonic=self.monotonic,
        )

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_s(self, seconds: float) -> None:
        """Let time pass, for the store and for the conductors."""
        self.monotonic_s += seconds
        self.stores.clock.set(self.stores.clock.now() + timedelta(seconds=seconds))

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:
        """Note what a conductor sends to a host: the method of the port `ComputeGateway`."""
        assert (assignment.host, cell) == (host, CELL)
        self.sent[host] = assignment

    def join(self, number: int, **changes) -> Assignment:
        return self._next().join(replace(self.request(number), **changes))

    def request(self, number: int, image: ImageId = IMAGE) -> JoinRequest:
        return JoinRequest(
            host=self.names[number],
            cell=CELL,
            job_id=JOB,
            image=image,
            form=Form.RAW,
            address=f"192.0.2.{number}:8785",
            key=f"{number:064x}",
        )

    def report(self, of: Assignment, kind: ReportKind = ReportKind.PROGRESS, **fields) -> Assignment:
        """Report as the host of this assignment; return its new one."""
        report = RelayReport(relay=of.relay, host=of.host, kind=kind, version=of.version, cell=CELL)
        return self._next().report(replace(report, **fields))

    def _next(self) -> PlanRelays:
        self._turn += 1
        return self.conductors[self._turn % len(self.conductors)]


class BreakableStore:
    """The port `RelayStore`, which does not answer while it is down."""

    def __init__(self, store) -> None:
        self._store, self.is_down = store, False

    def __getattr__(self, name):
        if self.is_down:
            raise StoreUnavailable("it is stopped")
        return getattr(self._store, name)


class _StoresClock:
    """The port `Clock`, with the instants of the store."""

    def __init__(self, stores) -> None:
        self.now = stores.clock.now

    def uptime(self) -> timedelta:
        return timedelta()


def _job(hosts, images, now) -> NewJob:
    return NewJob(
        id=JOB,
        hosts=tuple(hosts),
        orders=tuple(map(ImageOrder, images)),
        requested_by="admin",
        request_id="req-1",
        created_at=now,
        aggregate_id=7,
        aggregate_uuid="788608ec-ebdc-45c5-bc7f-e5f24ab92c80",
        aggregate_name="north",
    )
