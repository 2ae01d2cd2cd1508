"""Conductors for tests of hosts: the real rules of relays, with one relay for each image in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from precache.core.errors import ConductorUnreachable
from precache.core.relays import (
    Assignment,
    JoinRequest,
    Relay,
    RelayKey,
    RelayMember,
    RelayReport,
    ReportKind,
    Source,
)
from precache.core.swarm_certificates import HostCertificate
from precache.ports.swarm_trust import RootStatement
from precache.rules.relay_assignment import assignment
from precache.rules.relay_plan import joined, reported
from tests.swarm_hosts import SITE, SwarmHosts


class RulesPlanner:
    """The port `SwarmPlanner`. What a report changes for other hosts is sent to them, as a conductor does."""

    def __init__(self, swarm: SwarmHosts, *, attestations: int = 1) -> None:
        self._swarm, self._attestations = swarm, attestations
        self._relays: dict[RelayKey, Relay] = {}
        self._lock = threading.RLock()
        self.on_change: dict[str, Callable[[Assignment], object]] = {}
        """By host, what gets its new assignments."""
        self.reports: list[RelayReport] = []
        self.is_down = False
        self.refusals = 0
        self.interval_s = 0.2
        self.retry_after_s = 0.2

    @property
    def relay(self) -> Relay:
        """Return the only relay."""
        (relay,) = self._relays.values()
        return relay

    def kinds(self, host: str) -> list[ReportKind]:
        """Return what this host has reported, without its progress."""
        kinds = (report.kind for report in self.reports if report.host == host)
        return [kind for kind in kinds if kind is not ReportKind.PROGRESS]

    def is_known(self, host: str) -> bool:
        return any(relay.member(host) is not None for relay in self._relays.values())

    def parent_of(self, host: str) -> str:
        member = self.relay.member(host)
        return member.parent if member is not None and member.source is Source.HOST else ""

    def join(self, request: JoinRequest) -> Assignment:
        self._check()
        key = RelayKey(request.cell, SITE, request.image, request.form)
        member = RelayMember(host=request.host, address=request.address, key=request.key, have_bytes=request.have_bytes)
        with self._lock:
            relay = self._relays.get(key) or Relay(
                id=f"relay-{len(self._relays)}", key=key, attestations=self._attestations
            )
            return self._store(relay, joined(relay, member, self._swarm.clock.now()), request.host)

    def report(self, report: RelayReport) -> Assignment:
        self._check()
        with self._lock:
            self.reports.append(report)
            (relay,) = (each for each in self._relays.values() if each.id == report.relay)
            return self._store(relay, reported(relay, report, self._swarm.clock.now()), report.host)

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        raise NotImplementedError

    def change(self, host: str, **changes: object) -> None:
        """Change one member, as a rule could, and send the host its new assignment."""
        with self._lock:
            relay = self.relay
            members = [
                replace(each, version=each.version + 1, **changes) if each.host == host else each  # type: ignore[arg-type]
                for each in relay.members
            ]
            self._store(relay, replace(relay, members=tuple(members)), host)
            self.on_change[host](self._assignment(self.relay, host))

    def fail(self, reason: str) -> None:
        """Let the relay fail for good."""
        with self._lock:
            relay = self.relay
            self._relays[relay.key] = replace(relay, reason=reason)

    def _check(self) -> None:
        if self.is_down:
            self.refusals += 1
            raise ConductorUnreachable("the test has stopped it")

    def _store(self, before: Relay, after: Relay, host: str) -> Assignment:
        self._relays[after.key] = after
        for member in after.members:
            old = before.member(member.host)
            is_changed = old is not None and old.version != member.version
            if member.host != host and (is_changed or after.root != before.root) and member.host in self.on_change:
                self.on_change[member.host](self._assignment(after, member.host))
        return self._assignment(after, host)

    def _assignment(self, relay: Relay, host: str) -> Assignment:
        root = RootStatement(relay.id, relay.root, relay.size_bytes)
        return replace(
            assignment(relay, host),
            ticket=self._swarm.ticket(relay.id, host),
            root=self._swarm.authority.root(root) if relay.root else "",
            report_interval_s=self.interval_s,
            retry_after_s=self.retry_after_s,
        )
