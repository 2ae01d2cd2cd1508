"""Which host slows down those behind it, and where it goes.

A host that lags is told from two of its own reports, a second apart: its parent has gained, and it has gained far less.
Hosts behind a straggler do not lag behind their own parents, so the first one of a chain is the only one that reports.
"""

from __future__ import annotations

from datetime import timedelta

from precache.core.relays import MemberState, RelayMember, RelayReport, Source
from precache.rules.relay_places import best_parent
from precache.rules.relay_tree import RelayTree

LAG_S = 0.5
"""A host lags if its parent has so many seconds of its own rate more."""

_WATCHED = timedelta(seconds=1)
_WATCHED_AT_MOST = timedelta(seconds=3)
_CALM = timedelta(seconds=1)
"""After a change of its place a host catches up, and its reports tell nothing."""

_GAIN = 0.7
"""A host is slow if it gains less than this share of what its parent gains."""

_ENOUGH_SLOW_CHILDREN = 2


def is_straggler(tree: RelayTree, report: RelayReport) -> bool:
    """Return whether the host that reports SLOW is slower than its parent; remember the report for the next one."""
    member = tree[report.host]
    if member.source is not Source.HOST or (report.parent and report.parent != member.parent):
        return False
    if member.assigned_at is not None and tree.now - member.assigned_at < _CALM:
        tree.update(member.host, slow_since=None)
        return False
    if member.slow_since is None or tree.now - member.slow_since > _WATCHED_AT_MOST:
        tree.update(
            member.host,
            slow_since=tree.now,
            slow_have_bytes=report.have_bytes,
            slow_offered_bytes=report.offered_bytes,
        )
        return False
    watched = tree.now - member.slow_since
    if watched < _WATCHED:
        return False
    parents_gain = report.offered_bytes - member.slow_offered_bytes
    gain = report.have_bytes - member.slow_have_bytes
    lag = report.offered_bytes - report.have_bytes
    return gain < _GAIN * parents_gain and lag > LAG_S * parents_gain / watched.total_seconds()


def relieve(tree: RelayTree, host: str) -> None:
    """Change one edge so that a host which receives too slowly holds up nobody.

    If its parent has another child, one of the two goes elsewhere. If another host was slow with this parent before,
    the parent is the slow one. Otherwise the host goes to the end as a leaf, and its children go to its parent.
    """
    member = tree[host]
    parent = tree[member.parent]
    siblings = [child for child in tree.children(parent.host) if child.host != host]
    tree.update(host, slow_since=None)
    if siblings and _spread(tree, [member, *siblings]):
        return
    accusers = [each for each in tree if parent.host in each.slow_with and each.host != host]
    if parent.source is Source.HOST and len(accusers) + 1 >= _ENOUGH_SLOW_CHILDREN:
        for accuser in accusers:
            tree.update(accuser.host, slow_with=tuple(name for name in accuser.slow_with if name != parent.host))
        _bypass(tree, parent.host)
        return
    tree.update(host, slow_with=(*(name for name in member.slow_with if name != parent.host), parent.host))
    _bypass(tree, host)


def note_pace(tree: RelayTree, report: RelayReport) -> None:
    """Forget that a host was slow when a regular report shows that it keeps up."""
    member = tree[report.host]
    lag = report.offered_bytes - report.have_bytes
    if member.is_leaf and report.offered_bytes and lag <= LAG_S * report.rate_bytes_per_s:
        tree.update(member.host, is_leaf=False)


def take_from_crowded(tree: RelayTree, host: str) -> None:
    """Give a host that has every piece, and serves nobody now, one of those that share a parent, if there are any."""
    giver = tree.find(host)
    if giver is None or giver.state is not MemberState.COMPLETE or not tree.serves(giver) or tree.children(host):
        return
    crowded = [
        member
        for member in tree
        if member.source is Source.HOST
        and len(tree.children(member.parent)) > 1
        and member in tree.children(member.parent)
        and host not in member.lost
        and host not in member.wrong
        and _lacks_much(tree, member)
    ]
    if crowded:
        tree.follow(min(crowded, key=lambda each: (not each.is_leaf, each.have_bytes)).host, host)


def _lacks_much(tree: RelayTree, member: RelayMember) -> bool:
    """Return whether a new connection is worth its time."""
    left = tree.relay.size_bytes - member.have_bytes
    return not tree.relay.size_bytes or left > member.rate_bytes_per_s


def _spread(tree: RelayTree, children: list[RelayMember]) -> bool:
    """Move one of the children of a host to a host that has none, the slow ones first; return whether one was moved."""
    for child in sorted(children, key=lambda each: (not each.is_leaf, each.have_bytes)):
        found = best_parent(tree, child.host)
        if found and found != child.parent and not tree.children(found):
            tree.follow(child.host, found)
            return True
    return False


def _bypass(tree: RelayTree, host: str) -> None:
    """Move the host to the end as a leaf. Its children go to its parent."""
    children = tree.children(host)
    tree.update(host, is_leaf=True)
    for child in children:
        if tree.accepts(child, tree[host].parent):
            tree.follow(child.host, tree[host].parent)
    if not children:
        return
    end = best_parent(tree, host)
    if end is not None and end != tree[host].parent:
        tree.follow(host, end)
