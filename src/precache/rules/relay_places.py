"""Where a host gets its place in a relay: behind which other host, at the image service, or in the queue for it."""

from __future__ import annotations

from statistics import median

from precache.core.relays import PIECE_BYTES, MemberState, RelayMember, Source
from precache.rules.relay_tree import RelayTree

_HOP_PIECES = 4
"""A host passes a piece on some four pieces later: measured with bursts smaller than a piece."""

_HOP_S = 0.002
"""What a host needs besides to check a piece and send it."""

_SHARED = 2.0
"""What a second child of a host costs, in times of the whole transfer: it takes half of the rate from all that are
behind the first one, and gets half of it."""

_SLOW_SHARE = 0.25
"""A slow child takes less of its parent's rate."""

_SLOWER = 0.5
"""A host is slower than another if its rate is below this share of the other's."""

_HOLDS_UP = 10.0
"""What a leaf costs as a child beside one that is none: it holds up the chain, and shall go to the end."""

_LAST_RESORT = 100.0
_BEHIND_SLOWER = 10.0
_FRESH_S = 2.0
"""A slow host that has received for less than this loses little when it waits for a faster one put before it."""


def place(tree: RelayTree, host: str) -> None:
    """Give the host the parent that costs least; let it wait if it can receive from none."""
    parent = best_parent(tree, host)
    if parent is None:
        tree.wait(host)
        return
    tree.follow(host, parent)


def best_parent(tree: RelayTree, host: str) -> str | None:
    """Return the host from which this one should receive; None if it can receive from none.

    The cost of a parent is the time that it adds, in times of the whole transfer: a share of its rate, its distance
    from the first host, and the time until it has what this host has already.
    """
    member = tree[host]
    above = frozenset(tree.ancestors(host))
    rate = typical_rate(tree)
    hop = _hop(tree.relay.size_bytes, rate)
    best: tuple[float, str] | None = None
    for candidate, depth in tree.depths(without=host).items():
        if not tree.accepts(member, candidate):
            continue
        cost = (depth + 1) * hop + _cost(tree, member, tree[candidate], rate)
        if candidate not in above:
            cost += _behind(tree, member, tree[candidate])
        if best is None or cost < best[0]:
            best = cost, candidate
    return best[1] if best else None


def put_before_slower(tree: RelayTree, host: str) -> None:
    """Put a host that has just joined before the known slow ones that receive from its parent, if these lose little."""
    member = tree[host]
    if member.source is not Source.HOST or not tree.serves(member) or member.is_leaf:
        return
    rate = typical_rate(tree)
    for child in tree.children(member.parent):
        is_fresh = child.have_bytes <= _FRESH_S * child.link_bytes_per_s
        if child.host != host and _is_slower(child, member, rate) and is_fresh and tree.accepts(child, host):
            tree.follow(child.host, host)


def typical_rate(tree: RelayTree) -> int:
    """Return the median of the known rates of the hosts' links, in bytes per second; 0 if none is known."""
    known = [member.link_bytes_per_s for member in tree if member.link_bytes_per_s]
    return int(median(known)) if known else 0


def _cost(tree: RelayTree, member: RelayMember, parent: RelayMember, rate: int) -> float:
    cost = 0.0
    for child in tree.children(parent.host):
        if child.host == member.host:
            continue
        is_slow = child.is_leaf or _is_slower(child, member, rate)
        cost += _SHARED * (_SLOW_SHARE if is_slow else 1.0)
        if member.is_leaf and not child.is_leaf:
            cost += _HOLDS_UP
    if parent.is_leaf:
        cost += _LAST_RESORT
    elif parent.state is MemberState.ACTIVE and _is_slower(parent, member, rate):
        cost += _BEHIND_SLOWER
    return cost


def _behind(tree: RelayTree, member: RelayMember, parent: RelayMember) -> float:
    if parent.state is MemberState.COMPLETE or not tree.relay.size_bytes:
        return 0.0
    return max(0, member.have_bytes - parent.have_bytes) / tree.relay.size_bytes


def _is_slower(one: RelayMember, other: RelayMember, rate: int) -> bool:
    return 0 < one.link_bytes_per_s < _SLOWER * (other.link_bytes_per_s or rate)


def _hop(size_bytes: int, rate: int) -> float:
    """Return what one host more between this one and the first costs, in times of the whole transfer."""
    if not size_bytes:
        return 1e-6
    return (_HOP_PIECES * PIECE_BYTES + _HOP_S * rate) / size_bytes
