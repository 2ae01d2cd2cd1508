"""A relay while a rule changes it: who receives from whom, who can serve whom, and whose assignment has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from precache.core.relays import MemberState, Relay, RelayMember, Source
from precache.rules.relay_sites import crosses, may_cross

SPARES = 3
"""How many ancestors beyond its parent a host knows: two hosts that die together leave it one."""

_ENOUGH_COMPLAINTS = 2
"""One host may be wrong about another. Two are believed."""

_Way = tuple[Source, tuple[tuple[str, str], ...]]


class RelayTree:
    """A working copy of a relay. Each change keeps the map of children; `finish` returns the changed relay."""

    def __init__(self, relay: Relay, now: datetime) -> None:
        self.relay = relay
        self.now = now
        self._before = relay
        self._members = {member.host: member for member in relay.members}
        self._touched: set[str] = set()
        self._children: dict[str, dict[str, None]] = {}
        lost: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for member in relay.members:
            if _receives(member):
                self._children.setdefault(member.parent, {})[member.host] = None
            if member.state is not MemberState.LEFT:
                lost.update(member.lost)
                wrong.update(member.wrong)
        self._lost, self._wrong = lost, wrong

    def __iter__(self) -> Iterator[RelayMember]:
        return iter(tuple(self._members.values()))

    def __getitem__(self, host: str) -> RelayMember:
        return self._members[host]

    def find(self, host: str) -> RelayMember | None:
        return self._members.get(host)

    def children(self, host: str) -> list[RelayMember]:
        """Return the active hosts that receive from this one."""
        return [self._members[child] for child in self._children.get(host, ())]

    def update(self, host: str, /, **changes: Any) -> RelayMember:
        """Store new values of a member, and return it."""
        old = self._members[host]
        new = replace(old, **changes)
        self._members[host] = new
        if "lost" in changes:
            self._lost.subtract(old.lost)
            self._lost.update(new.lost)
        if "wrong" in changes:
            self._wrong.subtract(old.wrong)
            self._wrong.update(new.wrong)
        if {"state", "source", "parent", "address", "key"} & changes.keys():
            self._touched.add(host)
            self._children.get(old.parent, {}).pop(host, None)
            if _receives(new):
                self._children.setdefault(new.parent, {})[host] = None
        return new

    def note(self, member: RelayMember) -> None:
        """Store a member of which nothing has changed but its numbers and times."""
        self._members[member.host] = member

    def add(self, member: RelayMember) -> None:
        """Add a host that has no place yet, or replace what is known of it."""
        if member.host not in self._members:
            self._members[member.host] = member
        self.update(member.host, **{name: getattr(member, name) for name in RelayMember.__dataclass_fields__})

    def follow(self, host: str, parent: str) -> None:
        """Let the host receive from this parent."""
        self.update(host, source=Source.HOST, parent=parent, waiting_since=None, slow_since=None)

    def fetch(self, host: str) -> None:
        """Let the host fetch from the image service."""
        self.update(host, source=Source.IMAGE_SERVICE, parent="", waiting_since=None, slow_since=None, is_leaf=False)
        self.sign(self._members[host].key)

    def sign(self, key: str) -> None:
        """Add the key to those with which hashes of this relay are signed."""
        if key and key not in self.relay.signers:
            self.relay = replace(self.relay, signers=(*self.relay.signers, key))

    def wait(self, host: str) -> None:
        """Let the host wait for a place. One that waits already keeps its place in the queue."""
        member = self._members[host]
        if member.source is not Source.WAIT or member.parent or member.waiting_since is None:
            since = member.waiting_since or self.now
            self.update(host, source=Source.WAIT, parent="", waiting_since=since, slow_since=None)

    def is_shunned(self, host: str) -> bool:
        """Return whether so many hosts have lost this one, or got wrong pieces from it, that no other is sent to it."""
        return self.is_lost(host) or self._wrong[host] >= _ENOUGH_COMPLAINTS

    def is_lost(self, host: str) -> bool:
        """Return whether so many hosts had no success with this one that it counts as unreachable."""
        return self._lost[host] >= _ENOUGH_COMPLAINTS

    def is_complained_of(self, host: str) -> bool:
        return self._lost[host] > 0

    def serves(self, member: RelayMember) -> bool:
        """Return whether other hosts may be sent to this one."""
        return bool(member.address) and member.state is not MemberState.LEFT and not self.is_shunned(member.host)

    def accepts(self, child: RelayMember, parent: str) -> bool:
        """Return whether this child may receive from this parent, as far as the two are concerned."""
        found = self._members.get(parent)
        if found is None or not self.serves(found) or parent in child.lost or parent in child.wrong:
            return False
        return not crosses(child, found) or may_cross(child, found, self._members)

    def is_orphan(self, member: RelayMember) -> bool:
        """Return whether the member has a parent from which it cannot receive."""
        return _receives(member) and not self.accepts(member, member.parent)

    def depths(self, without: str = "") -> dict[str, int]:
        """Return how far each host that can get the image is from a host that has it, or fetches it.

        without: a host that is left out, with all that receive from it.
        """
        level = [
            member.host
            for member in self._members.values()
            if member.host != without
            and (
                member.state is MemberState.COMPLETE
                or (member.state is MemberState.ACTIVE and member.source is Source.IMAGE_SERVICE)
            )
        ]
        found = dict.fromkeys(level, 0)
        depth = 0
        while level:
            depth += 1
            level = [
                child
                for host in level
                for child in self._children.get(host, ())
                if child != without and child not in found and self.accepts(self._members[child], host)
            ]
            found.update(dict.fromkeys(level, depth))
        return found

    def ancestors(self, host: str) -> list[str]:
        """Return the host's parent, that one's parent and so on."""
        return ancestors(self._members, host)

    def finish(self) -> Relay:
        """Return the changed relay; the version of each host whose assignment has changed has grown."""
        before = {member.host: member for member in self._before.members}
        everybody = self.relay.signers != self._before.signers or self.relay.reason != self._before.reason
        affected = set(self._members) if everybody else self._with_descendants(self._touched)
        for host in affected:
            member = self._members[host]
            if member.state is not MemberState.ACTIVE:
                continue
            old = before.get(host)
            is_new = old is None or old.state is not MemberState.ACTIVE
            if everybody or is_new or _way(before, host) != _way(self._members, host):
                self._members[host] = replace(member, version=member.version + 1, assigned_at=self.now)
        return replace(self.relay, members=tuple(self._members.values()))

    def _with_descendants(self, hosts: set[str]) -> set[str]:
        found, level = set(hosts), hosts
        for _ in range(SPARES + 1):
            level = {child for host in level for child in self._children.get(host, ())} - found
            found |= level
        return found


def _receives(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE and member.source is Source.HOST


def ancestors(members: dict[str, RelayMember], host: str) -> list[str]:
    """Return the host's parent, that one's parent and so on, up to one that has every piece, or fetches them."""
    found: dict[str, None] = {}
    member = members[host]
    while _receives(member) and member.parent in members and member.parent not in found:
        found[member.parent] = None
        member = members[member.parent]
    return list(found)


def _way(members: dict[str, RelayMember], host: str) -> _Way:
    """Return what a host is told of its place: its source, and its parent and spares with their addresses."""
    member = members[host]
    way: list[tuple[str, str]] = []
    above = member
    while _receives(above) and above.parent in members and len(way) <= SPARES:
        above = members[above.parent]
        way.append((above.host, above.address))
    return member.source, tuple(way)
