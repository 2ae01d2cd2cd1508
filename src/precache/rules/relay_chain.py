"""The hosts of a relay as an operator looks at them: along the chain, each with how far it is behind its parent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from precache.core.relays import MemberState, Relay, RelayMember, Source


@dataclass(frozen=True, slots=True)
class ChainHost:
    """One host in its place.

    depth: how many hosts are between it and the image service; None if it is not in the chain.
    lag_bytes: of what its parent has, that it lacks; lag_s: for how long it receives these at its rate. None of a host
        that receives from no other, or has every piece; lag_s also if no rate is known.
    """

    member: RelayMember
    depth: int | None
    lag_bytes: int | None = None
    lag_s: float | None = None


def chain_of(relay: Relay) -> list[ChainHost]:
    """Return all members: each seeder with those behind it, then those that wait, then those that have left."""
    active = [member for member in relay.members if member.state is not MemberState.LEFT]
    children: dict[str, list[RelayMember]] = {}
    for member in active:
        if member.source is Source.HOST:
            children.setdefault(member.parent, []).append(member)
    placed = {each.member.host: each for each in _from_seeders(active, children)}
    others = [member for member in (*active, *relay.members) if member.host not in placed]
    return [*placed.values(), *(ChainHost(member, None) for member in dict.fromkeys(others))]


def _from_seeders(active: list[RelayMember], children: dict[str, list[RelayMember]]) -> Iterator[ChainHost]:
    """Yield the hosts that receive from a seeder, over others or not; each once, whatever the plan is."""
    members = {member.host: member for member in active}
    seen: set[str] = set()
    left = [(member, 0) for member in reversed(active) if member.is_origin]
    while left:
        member, depth = left.pop()
        if member.host in seen:
            continue
        seen.add(member.host)
        yield _placed(member, members.get(member.parent), depth)
        left += [(child, depth + 1) for child in reversed(children.get(member.host, []))]


def _placed(member: RelayMember, parent: RelayMember | None, depth: int) -> ChainHost:
    if member.source is not Source.HOST or member.state is MemberState.COMPLETE:
        return ChainHost(member, depth)
    lag_bytes = max(0, member.offered_bytes - member.have_bytes)
    rate = member.rate_bytes_per_s or (parent.rate_bytes_per_s if parent else 0)
    lag_s = 0.0 if not lag_bytes else lag_bytes / rate if rate else None
    return ChainHost(member, depth, lag_bytes, lag_s)
