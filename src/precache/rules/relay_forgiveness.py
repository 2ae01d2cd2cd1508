"""When hosts that were lost are tried again: some seconds of trouble in a network shall cost no further copies."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from precache.core.relays import MemberState, RelayMember
from precache.rules.relay_tree import RelayTree

_FORGIVEN_AFTER = timedelta(seconds=5)
"""Since a host was last lost; twice as long at each further time."""

_MOST_OFTEN = 2
"""How often a host is forgiven. One that is complete may have died, and sends no reports by which to know."""

_OLD = timedelta(minutes=10)
"""Twice as long as hosts usually serve an image after they have published it."""

_SEVERAL = 2


def forgive(tree: RelayTree) -> None:
    """Let the hosts that wait receive again from hosts that were lost some seconds ago and seem to live.

    Then none of the relay's hosts counts these as lost.
    """
    ripe = [name for name, lost_at in _lost(tree) if _is_ripe(tree, tree[name], lost_at)]
    waiting = tree.waiting
    for name in ripe:
        if any(tree.could_serve(member, name) for member in waiting):
            tree.update(name, forgiven=tree[name].forgiven + 1)
            forget_losses(tree, name)


def forget_losses(tree: RelayTree, host: str) -> None:
    """Forget what other hosts said of this one: it may become their parent again."""
    for member in tree.complaining:
        if host in member.lost:
            tree.update(member.host, lost=tuple(name for name in member.lost if name != host))


def give_up_old(tree: RelayTree, host: str, lost: Collection[str]) -> None:
    """Remove the hosts that were complete long ago and serve none now, if this host has just lost several of these.

    They report nothing any more, and died if they did not end in order, such as in a power cut of the site. Without
    this, a host that comes later tries all of them. If they live after all, it costs a further copy.
    """
    old = [
        member.host
        for member in tree.complete
        if member.reported_at is not None
        and tree.now - member.reported_at > _OLD
        and all(child.host == host for child in tree.children(member.host))
    ]
    if sum(name in lost for name in old) >= _SEVERAL:
        for name in old:
            tree.update(name, state=MemberState.LEFT)


def lost_complete(tree: RelayTree) -> list[str]:
    """Return the hosts with every piece that were lost, and will be forgiven within seconds."""
    if not tree.relay.root:
        return []
    return [name for name, _lost_at in _lost(tree) if tree[name].state is MemberState.COMPLETE]


def _lost(tree: RelayTree) -> list[tuple[str, datetime | None]]:
    """Return the hosts that were lost and can be forgiven, and when they were last lost, if that is known."""
    found: dict[str, datetime | None] = {}
    for member in tree.complaining:
        for name in member.lost:
            before, at = found.get(name), member.lost_at
            found[name] = max(before, at) if before and at else before or at
    return [
        (name, lost_at)
        for name, lost_at in found.items()
        if (host := tree.find(name)) is not None and host.forgiven < _MOST_OFTEN
    ]


def _is_ripe(tree: RelayTree, host: RelayMember, lost_at: datetime | None) -> bool:
    if lost_at is not None and tree.now - lost_at < _FORGIVEN_AFTER * 2**host.forgiven:
        return False
    if host.state is MemberState.COMPLETE:
        return True
    # One that waits, or receives from a host that waits, has nothing to pass on.
    has_source = host.state is MemberState.ACTIVE and not tree.is_stranded(host.host)
    return has_source and lost_at is not None and host.reported_at is not None and host.reported_at > lost_at
