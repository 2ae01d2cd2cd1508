"""A relay while a rule changes it: who receives from whom, who can serve whom, and whose assignment has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
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
    """A working copy of a relay. Each change keeps what is known of all hosts; `finish` returns the changed relay.

    Sites have hundreds of hosts, and all of them join within a second: nothing here looks at each host twice.
    """

    def __init__(self, relay: Relay, now: datetime) -> None:
        self.relay = relay
        self.now = now
        self._before = relay
        self._members = {member.host: member for member in relay.members}
        self._old = self._members.copy()
        self._touched: set[str] = set()
        self._children: dict[str, dict[str, None]] = {}
        self._fetching: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._complete: dict[str, None] = {}
        self._mute: set[str] = set()
        """Hosts that serve no other: they have left, or have no address."""
        self._complaining: set[str] = set()
        self._below: set[str] = set()
        """Hosts of sites that may receive from other sites."""
        for member in relay.members:
            self._place(member)
        self._mute.update(self._children.keys() - self._members.keys())
        self._lost, self._wrong = Counter[str](), Counter[str]()
        self._hear()

    def __iter__(self) -> Iterator[RelayMember]:
        return iter(tuple(self._members.values()))

    def __getitem__(self, host: str) -> RelayMember:
        return self._members[host]

    def find(self, host: str) -> RelayMember | None:
        return self._members.get(host)

    def children(self, host: str) -> list[RelayMember]:
        """Return the active hosts that receive from this one."""
        return [self._members[child] for child in self._children.get(host, ())]

    def has_children(self, host: str) -> bool:
        return bool(self._children.get(host))

    def update(self, host: str, /, **changes: Any) -> RelayMember:
        """Store new values of a member, and return it."""
        old = self._members[host]
        new = replace(old, **changes)
        self._members[host] = new
        if {"state", "source", "parent", "address", "key", "lost", "wrong", "above"} & changes.keys():
            self._touched.add(host)
            self._children.get(old.parent, {}).pop(host, None)
            for group in (self._fetching, self._waiting, self._complete):
                group.pop(host, None)
            self._mute.discard(host)
            self._complaining.discard(host)
            self._below.discard(host)
            self._place(new)
            if old.lost or old.wrong or new.lost or new.wrong:
                self._hear()
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
        member = self._members[host]
        # What its former parent had says nothing of this one.
        offered = member.offered_bytes if member.parent == parent else 0
        self.update(host, source=Source.HOST, parent=parent, offered_bytes=offered, waiting_since=None, slow_since=None)

    def fetch(self, host: str) -> None:
        """Let the host fetch from the image service."""
        self.update(
            host,
            source=Source.IMAGE_SERVICE,
            parent="",
            waiting_since=None,
            is_leaf=False,
            best_bytes_per_s=0,
            slow_since=self.now,
            slow_have_bytes=self._members[host].have_bytes,
        )
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
        return host in self._shunned

    def is_lost(self, host: str) -> bool:
        """Return whether so many hosts had no success with this one that it counts as unreachable."""
        return self._lost[host] >= _ENOUGH_COMPLAINTS

    def is_complained_of(self, host: str) -> bool:
        return self._lost[host] > 0

    def serves(self, member: RelayMember) -> bool:
        """Return whether other hosts may be sent to this one."""
        return member.host not in self._mute and member.host not in self._shunned

    def accepts(self, child: RelayMember, parent: str) -> bool:
        """Return whether this child may receive from this parent, as far as the two are concerned."""
        found = self._members.get(parent)
        if found is None or not self.serves(found) or parent in child.lost or parent in child.wrong:
            return False
        return not crosses(child, found) or may_cross(child, found, self._members)

    def could_serve(self, child: RelayMember, parent: str) -> bool:
        """Return whether this child could receive from this parent if that did not count as lost."""
        found = self._members.get(parent)
        if found is None or parent in self._mute or parent in child.wrong or self._wrong[parent] >= _ENOUGH_COMPLAINTS:
            return False
        return not crosses(child, found) or may_cross(child, found, self._members)

    @property
    def complaining(self) -> list[RelayMember]:
        """The hosts that have lost others, or got wrong pieces from them."""
        return [self._members[host] for host in sorted(self._complaining)]

    def is_stranded(self, host: str) -> bool:
        """Return whether neither this host nor one of its ancestors has the image or fetches it."""
        last = [host, *self.ancestors(host)][-1]
        return last not in self._fetching and last not in self._complete

    @property
    def fetching(self) -> list[RelayMember]:
        """The active hosts that fetch from the image service."""
        return [self._members[host] for host in self._fetching]

    @property
    def waiting(self) -> list[RelayMember]:
        """The active hosts that have no place."""
        return [self._members[host] for host in self._waiting]

    @property
    def complete(self) -> list[RelayMember]:
        return [self._members[host] for host in self._complete]

    def is_orphan(self, member: RelayMember) -> bool:
        """Return whether the member has a parent from which it cannot receive."""
        return _receives(member) and not self.accepts(member, member.parent)

    def orphans(self) -> list[RelayMember]:
        """Return the hosts that have a parent from which they cannot receive."""
        found = dict.fromkeys(child for host in self._mute | self._shunned for child in self._children.get(host, ()))
        found |= dict.fromkeys(host for host in self._picky if self.is_orphan(self._members[host]))
        return [self._members[host] for host in sorted(found)]

    def depths(self, without: str = "") -> dict[str, int]:
        """Return how far each host that can get the image is from a host that has it, or fetches it.

        without: a host that is left out, with all that receive from it.
        """
        found = dict.fromkeys((*self._fetching, *self._complete), 0)
        found.pop(without, None)
        excluded, picky = self._mute | self._shunned, self._picky
        level = list(found)
        depth = 0
        while level:
            depth += 1
            below = []
            for host in level:
                if host in self._children and host not in excluded:
                    below += [
                        child
                        for child in self._children[host]
                        if child != without and (child not in picky or self.accepts(self._members[child], host))
                    ]
            level = below
            for child in level:
                found[child] = depth
        return found

    def ancestors(self, host: str) -> list[str]:
        """Return the host's parent, that one's parent and so on."""
        return ancestors(self._members, host)

    def finish(self) -> Relay:
        """Return the changed relay; the version of each host whose assignment has changed has grown."""
        concerns_all = self.relay.signers != self._before.signers or self.relay.reason != self._before.reason
        affected = set(self._members) if concerns_all else self._with_descendants(self._touched)
        for host in affected:
            member = self._members[host]
            if member.state is not MemberState.ACTIVE:
                continue
            old = self._old.get(host)
            is_new = old is None or old.state is not MemberState.ACTIVE
            if concerns_all or is_new or _way(self._old, host) != _way(self._members, host):
                self._members[host] = replace(member, version=member.version + 1, assigned_at=self.now)
        return replace(self.relay, members=tuple(self._members.values()))

    @property
    def _picky(self) -> set[str]:
        """The hosts that do not accept each host that serves."""
        return self._complaining | self._below

    def _place(self, member: RelayMember) -> None:
        """Note the member in the groups to which it belongs."""
        host, state = member.host, member.state
        if state is MemberState.ACTIVE:
            if member.source is Source.HOST:
                self._children.setdefault(member.parent, {})[host] = None
            elif member.source is Source.WAIT:
                self._waiting[host] = None
            else:
                self._fetching[host] = None
        elif state is MemberState.COMPLETE:
            self._complete[host] = None
        if state is MemberState.LEFT or not member.address:
            self._mute.add(host)
        if (member.lost or member.wrong) and state is not MemberState.LEFT:
            self._complaining.add(host)
        if member.above:
            self._below.add(host)

    def _hear(self) -> None:
        """Count what hosts say of each other."""
        complaining = [self._members[host] for host in self._complaining]
        self._lost = Counter(name for member in complaining for name in member.lost)
        self._wrong = Counter(name for member in complaining for name in member.wrong)
        self._shunned = shunned(complaining)

    def _with_descendants(self, hosts: set[str]) -> set[str]:
        found, level = set(hosts), hosts
        for _ in range(SPARES + 1):
            level = {child for host in level for child in self._children.get(host, ())} - found
            found |= level
        return found


def shunned(members: Iterable[RelayMember]) -> frozenset[str]:
    """Return the hosts that several others have lost, or from which several got wrong pieces."""
    complaining = [
        member for member in members if (member.lost or member.wrong) and member.state is not MemberState.LEFT
    ]
    lost = Counter(name for member in complaining for name in member.lost)
    wrong = Counter(name for member in complaining for name in member.wrong)
    return frozenset(name for found in (lost, wrong) for name, count in found.items() if count >= _ENOUGH_COMPLAINTS)


def _receives(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE and member.source is Source.HOST


def ancestors(members: dict[str, RelayMember], host: str, most: int | None = None) -> list[str]:
    """Return the host's parent, that one's parent and so on: `most` of them, without one that occurs twice.

    Those of a host that has every piece are those that it had.
    """
    found: dict[str, None] = {}
    member = members[host]
    while member.source is Source.HOST and member.parent in members and (most is None or len(found) < most):
        member = members[member.parent]
        if member.host in found or member.host == host:
            break
        found[member.host] = None
    return list(found)


def _way(members: dict[str, RelayMember], host: str) -> _Way:
    """Return what a host is told of its place: its source, and its parent and spares with their addresses."""
    above = ancestors(members, host, SPARES + 1)
    return members[host].source, tuple((name, members[name].address) for name in above)
