"""What one host is told of its place in a relay, and how often it reports."""

from __future__ import annotations

from zlib import crc32

from precache.core.relays import Assignment, MemberState, Peer, Relay, RelayMember, Source
from precache.rules.relay_sites import crosses, may_cross
from precache.rules.relay_tree import SPARES, ancestors, shunned

_MESSAGES_PER_S = 600
"""All hosts of all relays together send at most so many regular messages: docs/swarm.md."""

_KEPT_FREE = 0.6
"""The share of them that is left for joins, for reports of what is wrong, and for hosts that report more often."""

_HEARTBEAT_S = 30
"""A host that works on a call shows this often that it lives."""

_LEAST_INTERVAL_S = 2.0
_LEAST_REPORTS_PER_S = 60
_WATCHED_INTERVAL_S = 5.0
"""Hosts that fetch from the image service are few, and all others wait if one has died. Leaves are few, too, and one
that was taken for slow is to get children again."""

_RETRY_AFTER_S = 2.0


def report_interval_s(hosts_active: int) -> float:
    """Return the seconds between two regular reports of a host, if so many hosts are in relays at the same time."""
    free = (1 - _KEPT_FREE) * (_MESSAGES_PER_S - hosts_active / _HEARTBEAT_S)
    return max(_LEAST_INTERVAL_S, hosts_active / max(free, _LEAST_REPORTS_PER_S))


def report_interval_of(member: RelayMember, interval_s: float) -> float:
    """Return the interval of one host, if that of all is `interval_s`."""
    is_watched = member.is_leaf or member.source is Source.IMAGE_SERVICE
    return min(interval_s, _WATCHED_INTERVAL_S) if is_watched else interval_s


def assignment(relay: Relay, host: str, *, report_interval_s: float = _LEAST_INTERVAL_S) -> Assignment:
    """Return what the host is to do now, without the signed texts. Raises KeyError for a host that has not joined.

    report_interval_s: of all hosts, from the function of this name.
    """
    members = {member.host: member for member in relay.members}
    member = members[host]
    is_child = member.state is MemberState.ACTIVE and member.source is Source.HOST
    parent = members.get(member.parent) if is_child else None
    return Assignment(
        relay=relay.id,
        host=host,
        version=member.version,
        source=Source.WAIT if member.source is Source.HOST and parent is None else member.source,
        parent=Peer(parent.host, parent.address) if parent else None,
        spares=_spares(relay, members, member) if parent else (),
        signers=relay.signers,
        report_interval_s=report_interval_of(member, report_interval_s),
        retry_after_s=max(_RETRY_AFTER_S, report_interval_s / 5),
        failed=relay.reason,
    )


def _spares(relay: Relay, members: dict[str, RelayMember], member: RelayMember) -> tuple[Peer, ...]:
    """Return the host's ancestors beyond its parent, the nearest first, then hosts that have every piece."""
    above = ancestors(members, member.host, SPARES + 1)[1:]
    known = {member.host, member.parent, *above}
    complete = [m.host for m in relay.members if m.state is MemberState.COMPLETE and m.host not in known]
    # Hosts that lose one parent at the same time do not all go to the same spare.
    start = crc32(member.host.encode()) % len(complete) if complete else 0
    extra = (complete[start:] + complete[:start])[: max(1, SPARES - len(above))]
    avoided = {*shunned(relay.members), *member.lost, *member.wrong}
    return tuple(
        Peer(name, found.address)
        for name in [*above, *extra]
        if (found := members[name]).address
        and found.state is not MemberState.LEFT
        and name not in avoided
        and (not crosses(member, found) or may_cross(member, found, members))
    )
