"""Answers hosts that ask for their places in relays. All that it knows of a relay is in the store, so that any
conductor answers, and one that dies takes nothing with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from precache.background.grouped_calls import GroupedCalls
from precache.conductor.certify_hosts import CertifyHosts
from precache.conductor.known_places import KnownPlaces
from precache.conductor.message_limits import PER_S, MessageLimits
from precache.conductor.relay_hosts import RelayHosts
from precache.conductor.report_interval import ReportInterval
from precache.conductor.send_assignments import SendAssignments
from precache.conductor.sign_assignments import SignAssignments
from precache.core.errors import ConductorUnreachable, PrecacheError, RelayRefused
from precache.core.host_rates import UNKNOWN_RATES, HostRates
from precache.core.relays import (
    Assignment,
    JoinRequest,
    MemberState,
    Relay,
    RelayKey,
    RelayMember,
    RelayReport,
    ReportKind,
)
from precache.core.swarm_certificates import HostCertificate
from precache.ports.relay_store import ChangedRelay, HostRatesStore, MemberProgress, RelayStore
from precache.rules.host_rates import remembered
from precache.rules.relay_plan import joined, overdue, reported
from precache.rules.relay_sites import sites_above, top_site

MOST_MEMBERS = 5_000
"""Of a relay. Each report reads all of them, so that larger sites are to be divided."""

_QUIET = frozenset({ReportKind.PROGRESS, ReportKind.SLOW})
"""Reports that usually change no assignment."""

_LOSSLESS_INTERVALS = 4
"""Intervals without an outage after which a silent host counts as silent: its three reports would have arrived."""

T = TypeVar("T")


class PlanRelays:
    """The port `SwarmPlanner`, also for hosts in the same process. Called by several threads at once.

    attestations: how many hosts of a new relay must find the same root.
    site_parents: by site, the one from which it may receive.
    listening_for_s: for how long, until now, this conductor would have received the messages of a cell. While that is
        short, no host counts as silent.
    """

    def __init__(
        self,
        *,
        relays: RelayStore,
        rates: HostRatesStore,
        hosts: RelayHosts,
        certificates: CertifyHosts,
        signing: SignAssignments,
        sending: SendAssignments,
        interval: ReportInterval,
        limits: MessageLimits,
        attestations: int,
        site_parents: Mapping[str, str],
        listening_for_s: Callable[[str], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relays, self._rates, self._hosts = relays, rates, hosts
        self._certificates, self._signing, self._sending = certificates, signing, sending
        self._interval, self._limits = interval, limits
        self._attestations, self._site_parents = attestations, site_parents
        self._listening_for_s, self._monotonic = listening_for_s, monotonic
        self._joins = GroupedCalls(self._join_all)
        self._available_since = monotonic()
        self._places = KnownPlaces(monotonic=monotonic)

    def join(self, request: JoinRequest) -> Assignment:
        return self._answered(request.host, lambda: self._join(request))

    def report(self, report: RelayReport) -> Assignment:
        return self._answered(report.host, lambda: self._report(report))

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        return self._answered(host, lambda: self._certificates.certify(host, cell, signing_request))

    def remove_silent(self, relay_id: str) -> None:
        """Assign the places of silent hosts of the relay to others. Raises StoreUnavailable."""
        interval_s = self._interval()
        changed = self._relays.change(
            relay_id, lambda relay, now: self._without_silent(relay, now, interval_s), is_quiet=True
        )
        if changed is not None:
            self._send_changes(changed)

    def _answered(self, host: str, answer: Callable[[], T]) -> T:
        if not self._limits.accepts(host):
            raise ConductorUnreachable(f"host {host} asks more than {PER_S} times a second")
        try:
            return answer()
        except (RelayRefused, ConductorUnreachable):
            raise
        except PrecacheError as error:
            self._available_since = self._monotonic()
            raise ConductorUnreachable(str(error)) from error

    def _join(self, request: JoinRequest) -> Assignment:
        host = self._hosts.joining(request)
        rates = self._rates_of(request.host)
        above = sites_above(host.site, self._site_parents)
        member = RelayMember(
            host=request.host,
            address=request.address,
            key=request.key,
            site=host.site,
            above=above,
            have_bytes=request.have_bytes,
            uplink_bytes_per_s=rates.uplink_bytes_per_s,
            link_bytes_per_s=rates.link_bytes_per_s,
        )
        key = RelayKey(request.cell, top_site(host.site, above), request.image, request.form)

        assignment = self._joins(key, member)
        if isinstance(assignment, RelayRefused):
            raise assignment
        return assignment

    def _join_all(self, key: RelayKey, members: Sequence[RelayMember]) -> list[Assignment | RelayRefused]:
        """Assign places to hosts that ask at the same time in one change: a change reads all members of the relay."""
        interval_s = self._interval()
        refused: dict[str, RelayRefused] = {}

        def join(relay: Relay, now: datetime) -> Relay:
            refused.clear()
            relay = self._without_silent(relay, now, interval_s)
            for member in members:
                if reason := _why_not_joined(relay, member):
                    refused[member.host] = RelayRefused(member.host, reason)
                else:
                    relay = joined(relay, member, now)
            return relay

        changed = self._relays.change_by_key(key, self._attestations, join)
        self._send_changes(changed, but=[member.host for member in members])
        return [refused.get(member.host) or self._signed(changed, member.host, interval_s) for member in members]

    def _report(self, report: RelayReport) -> Assignment:
        self._hosts.check_member(report.host, report.cell)
        if (unchanged := self._unchanged(report)) is not None:
            return unchanged
        interval_s = self._interval()

        def follow(relay: Relay, now: datetime) -> Relay:
            if relay.key.cell != report.cell or relay.member(report.host) is None:
                raise RelayRefused(report.host, f"it has not joined relay {report.relay}")
            return reported(self._without_silent(relay, now, interval_s), report, now)

        changed = self._relays.change(report.relay, follow, is_quiet=report.kind in _QUIET)
        if changed is None:
            raise RelayRefused(report.host, f"the conductors know no relay {report.relay} any more")
        if report.kind is ReportKind.COMPLETE:
            self._remember_rates(changed, report.host)
        return self._assignment(changed, report.host, interval_s)

    def _rates_of(self, host: str) -> HostRates:
        return self._rates.find_rates([host]).get(host, UNKNOWN_RATES)

    def _remember_rates(self, changed: ChangedRelay, host: str) -> None:
        """Store how fast the host has got this image, once."""
        was, member = changed.before.member(host), changed.after.member(host)
        if was is None or member is None or was.state is MemberState.COMPLETE:
            return
        before = self._rates_of(host)
        if (after := remembered(before, member)) != before:
            self._rates.store_rates(host, after)

    def _assignment(self, changed: ChangedRelay, host: str, interval_s: float) -> Assignment:
        """Return the host's assignment, and send the others theirs."""
        self._send_changes(changed, but=[host])
        return self._signed(changed, host, interval_s)

    def _signed(self, changed: ChangedRelay, host: str, interval_s: float) -> Assignment:
        assignment = self._signing.of_host(changed.after, host, interval_s)
        self._places.note(changed, assignment)
        return assignment

    def _unchanged(self, report: RelayReport) -> Assignment | None:
        """Store a regular report that can change nothing but its numbers; return the known assignment of the host.

        Return None for any other report. So a relay of thousands of hosts is not read for each of their reports.
        """
        place = self._places.find(report)
        if place is None or not place.is_unchanged_by(report):
            return None
        progress = MemberProgress(
            host=report.host,
            state=place.member.state,
            version=report.version,
            have_bytes=report.have_bytes,
            offered_bytes=report.offered_bytes,
            rate_bytes_per_s=report.rate_bytes_per_s,
        )
        return place.assignment if self._relays.note_progress(report.relay, progress) else None

    def _without_silent(self, relay: Relay, now: datetime, interval_s: float) -> Relay:
        if not _has_silent(relay, now - timedelta(seconds=2 * interval_s)):  # nearly always
            return relay
        # After an outage the first host that reports is not the only one that lives.
        lossless_s = min(self._listening_for_s(relay.key.cell), self._monotonic() - self._available_since)
        return overdue(relay, now, interval_s) if lossless_s > _LOSSLESS_INTERVALS * interval_s else relay

    def _send_changes(self, changed: ChangedRelay, but: Sequence[str] = ()) -> None:
        """Send their assignments to the hosts whose version has changed; without waiting."""
        before = {member.host: member.version for member in changed.before.members}
        hosts = [
            member.host
            for member in changed.after.members
            if member.version != before.get(member.host)
            and member.host not in but
            and member.state is not MemberState.LEFT
        ]
        if hosts:
            self._sending.add(changed.after, hosts)


def _why_not_joined(relay: Relay, member: RelayMember) -> str:
    """Return why the host gets no place, in words; empty if it gets one."""
    if relay.reason:  # a join would be a sign of life of this relay, which is to be forgotten soon
        return f"its image failed in site {relay.key.site}, and may be tried again later: {relay.reason}"
    if len(relay.members) >= MOST_MEMBERS and relay.member(member.host) is None:
        return f"site {relay.key.site} has more than {MOST_MEMBERS} hosts; divide it"
    return ""


def _has_silent(relay: Relay, since: datetime) -> bool:
    """Return whether an active host has not reported since then."""
    for member in relay.members:
        if member.state is MemberState.ACTIVE:
            last = member.reported_at or member.joined_at
            if last is None or last < since:
                return True
    return False
