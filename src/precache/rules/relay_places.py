"""Where a host gets its place in a relay: behind which other host, at the image service, or in the queue for it."""

from __future__ import annotations

from collections.abc import Iterable

from precache.core.relays import PIECE_BYTES, MemberState, RelayMember, Source
from precache.rules.relay_tree import RelayTree

_HOP_PIECES = 4
"""A host passes a piece on some four pieces later: measured with bursts smaller than a piece."""

_HOP_S = 0.002
"""What a host needs besides to check a piece and send it."""

_SHARED = 2.0
"""What children cost that want twice the rate of their parent, in times of the whole transfer: the second child takes
half of the rate from all that are behind the first one, and gets half of it."""

_SLOWER = 0.5
"""A host is slower than another if its rate is below this share of the other's."""

_HOLDS_UP = 10.0
"""What a leaf costs as a child beside one that is none: it holds up the chain, and shall go to the end."""

_OF_A_LEAF = 0.25
"""What counts of the rate that a leaf wants, beside a host that is none: the leaf gives way, and none is behind it."""

_LAST_RESORT = 100.0
_BEHIND_SLOWER = 10.0
_PATIENCE = 0.1
"""A slow host waits for a faster one that is put before it, if that takes at most this share of the time it needs."""


def place(tree: RelayTree, host: str) -> None:
    """Assign the parent that costs least to the host; let it wait if it can receive from none."""
    parent = best_parent(tree, host)
    if parent is None:
        tree.wait(host)
        return
    tree.follow(host, parent)


def best_parent(tree: RelayTree, host: str) -> str | None:
    """Return the host from which this one should receive; None if it can receive from none.

    The cost of a parent is the time that it adds, in times of the whole transfer: what its children want beyond its
    rate, its distance from the first host, and the time until it has what this host has already.
    """
    member = tree[host]
    typical = typical_rate(tree)
    depths = tree.depths(without=host)
    light = [name for name in depths if not tree.has_children(name)]
    if member.is_leaf or _is_slow(member, typical):
        light = list(depths)
    else:
        special = [each.parent for each in tree if each.is_leaf or _is_slow(each, typical)]
        light += [name for name in dict.fromkeys(special) if name in depths and tree.has_children(name)]
    best = _cheapest(tree, member, light, depths, typical)
    if best is None or best[0] >= _SHARED / 2:
        best = _cheapest(tree, member, depths, depths, typical)
    return best[1] if best else None


def _cheapest(
    tree: RelayTree, member: RelayMember, candidates: Iterable[str], depths: dict[str, int], typical: int
) -> tuple[float, str] | None:
    above = frozenset(tree.ancestors(member.host))
    hop = _hop(tree.relay.size_bytes, typical)
    best: tuple[float, str] | None = None
    for candidate in candidates:
        if not tree.accepts(member, candidate):
            continue
        cost = (depths[candidate] + 1) * hop + _cost(tree, member, tree[candidate], typical)
        if candidate not in above:
            cost += _behind(tree, member, tree[candidate], typical)
        if best is None or cost < best[0]:
            best = cost, candidate
    return best


def put_before_slower(tree: RelayTree, host: str) -> None:
    """Put a host that has just joined before the known slow ones that receive from its parent, if these lose little."""
    member = tree[host]
    if member.source is not Source.HOST or not tree.serves(member) or member.is_leaf:
        return
    siblings = [child for child in tree.children(member.parent) if child.host != host]
    for child in siblings:
        if _gives_way(tree, child, member, typical_rate(tree)) and tree.accepts(child, host):
            tree.follow(child.host, host)


def typical_rate(tree: RelayTree) -> int:
    """Return the rate that a quarter of the hosts exceeds, in bytes per second; 0 if none is known."""
    known = sorted(rate for member in tree if (rate := member.link_bytes_per_s or member.rate_bytes_per_s))
    return known[len(known) * 3 // 4] if known else 0


def most_bytes(member: RelayMember, tree: RelayTree, typical: int) -> float:
    """Return how much an active host can have by now, as its last report is old."""
    seconds = (tree.now - member.reported_at).total_seconds() if member.reported_at else 0.0
    return member.have_bytes + typical * seconds


def is_slower(one: RelayMember, other: RelayMember, typical: int) -> bool:
    """Return whether a host is known to be much slower than the other one; typical: the rate of unknown ones."""
    return 0 < one.link_bytes_per_s < _SLOWER * (other.link_bytes_per_s or typical)


def _is_slow(member: RelayMember, typical: int) -> bool:
    return 0 < member.link_bytes_per_s < _SLOWER * typical


def _cost(tree: RelayTree, member: RelayMember, parent: RelayMember, typical: int) -> float:
    wanted = _share(member, typical)
    cost = 0.0
    for child in tree.children(parent.host):
        if child.host != member.host and not _gives_way(tree, child, member, typical):
            wanted += _share(child, typical) * (_OF_A_LEAF if child.is_leaf and not member.is_leaf else 1)
            if member.is_leaf and not child.is_leaf:
                cost += _HOLDS_UP * _share(member, typical)
    cost += _SHARED * max(0.0, wanted - max(_share(parent, typical), _share(member, typical)))
    if parent.is_leaf and (not member.is_leaf or is_slower(parent, member, typical)):
        cost += _LAST_RESORT
    elif parent.state is MemberState.ACTIVE and is_slower(parent, member, typical):
        cost += _BEHIND_SLOWER
    return cost


def _gives_way(tree: RelayTree, child: RelayMember, member: RelayMember, typical: int) -> bool:
    """Return whether a slow host may wait until a faster one, put before it, has what the slow one has."""
    if not is_slower(child, member, typical):
        return False
    left = tree.relay.size_bytes - child.have_bytes
    return child.have_bytes * _share(child, typical) <= _PATIENCE * left or not tree.relay.size_bytes


def _share(member: RelayMember, typical: int) -> float:
    """Return the host's rate in typical ones; 1 while unknown."""
    return member.link_bytes_per_s / typical if member.link_bytes_per_s and typical else 1.0


def _behind(tree: RelayTree, member: RelayMember, parent: RelayMember, typical: int) -> float:
    if parent.state is MemberState.COMPLETE or not tree.relay.size_bytes:
        return 0.0
    lacking = max(0, member.have_bytes - parent.have_bytes) / tree.relay.size_bytes
    return lacking / max(_share(parent, typical), 1e-3)


def hop_s(rate_bytes_per_s: float) -> float:
    """Return how many seconds a host is behind its parent, if links have this rate."""
    return _HOP_PIECES * PIECE_BYTES / rate_bytes_per_s + _HOP_S


def _hop(size_bytes: int, rate: int) -> float:
    """Return what one host more between this one and the first costs, in times of the whole transfer."""
    if not size_bytes:
        return 1e-6
    return hop_s(rate) * rate / size_bytes if rate else _HOP_PIECES * PIECE_BYTES / size_bytes
