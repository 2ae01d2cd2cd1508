"""Makes the assignment of a host whole: what the rules say, with the texts that the authority signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from precache.core.relays import Assignment, MemberState, Relay
from precache.ports.clock import Clock
from precache.ports.swarm_trust import RootStatement, SwarmAuthority, Ticket
from precache.rules.relay_assignment import assignment

TICKET_LIFETIME = timedelta(minutes=15)
"""Each answer to a host has a new ticket, so that it needs to last only while no conductor answers, such as during an
upgrade; clocks may differ by CLOCKS_DIFFER_BY. A host that has left can use its last one for as long."""


class SignAssignments:
    """Thread-safe. clock: its instants are compared with the clocks of hosts."""

    def __init__(self, *, authority: SwarmAuthority, clock: Clock) -> None:
        self._authority, self._clock = authority, clock

    def of_host(self, relay: Relay, host: str, report_interval_s: float) -> Assignment:
        """Return what the host is to do now. Raises what the authority raises."""
        found = assignment(relay, host, report_interval_s=report_interval_s)
        return replace(found, ticket=self._ticket(relay, found), root=self._root(relay))

    def _ticket(self, relay: Relay, of: Assignment) -> str:
        """Return the signed permission; empty if there is no other host to ask, or the host has left."""
        member = relay.member(of.host)
        if member is None or member.state is MemberState.LEFT or not (of.parent or of.spares):
            return ""
        until = self._clock.now() + TICKET_LIFETIME
        sites = member.site or relay.key.site, *member.above
        return self._authority.ticket(Ticket(relay.id, of.host, relay.key.cell, sites, until))

    def _root(self, relay: Relay) -> str:
        """Return the signed statement; empty while the root is unknown, or if the relay has failed."""
        if not relay.root or relay.reason:
            return ""
        return self._authority.root(RootStatement(relay.id, relay.root, relay.size_bytes))
