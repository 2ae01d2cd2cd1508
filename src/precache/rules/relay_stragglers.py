"""Which host slows down those behind it, and where it goes.

A host that lags is told from two of its own reports: its parent has gained, and it has gained far less.
Hosts behind a straggler do not lag behind their own parents, so the first one of a chain is the only one that reports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from precache.core.relays import MemberState, RelayMember, RelayReport, Source
from precache.rules.relay_lag import LAG_S
from precache.rules.relay_places import best_parent, is_slower, most_bytes, place, typical_rate
from precache.rules.relay_tree import RelayTree

_WATCHED_S = 0.28
"""Two reports that follow each other are enough. With a second between them, simulated stragglers were named 0.6 s
later, and links that jitter by half of their rates cost as little, 3 % of the time."""

_WATCHED_AT_MOST_S = 3.0
"""After this time a host may have become slow again: only if it was too slow in all of the time, one report counts."""

_CALM = timedelta(seconds=1)
"""After a change of its place a host catches up, and its reports tell nothing."""

_GAIN = 0.7
"""A host is slow if it gains less than this share of what its parent gains."""

_RECOVERED = 1.3
"""A leaf is none any more if it receives so many times as fast as when it was slow."""


_USUAL = 1.25
"""A host receives as fast as ever if its known rate is less than so many times the present one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a host and its parent gained in the same time, in bytes per second."""

    own: int
    parents: int


def straggling(tree: RelayTree, report: RelayReport) -> Pace | None:
    """Return the pace of the host that reports SLOW if it is slower than its parent, else None.

    The first report is remembered for the next one.
    """
    member = tree[report.host]
    if member.source is not Source.HOST or (report.parent and report.parent != member.parent):
        return None
    if member.assigned_at is not None and tree.now - member.assigned_at < _CALM:
        tree.update(member.host, slow_since=None)
        return None
    seconds = (tree.now - member.slow_since).total_seconds() if member.slow_since else 0.0
    pace = _slow_pace(tree, member, report, seconds) if seconds >= _WATCHED_S else None
    if pace is None and (not seconds or seconds > _WATCHED_AT_MOST_S):
        tree.update(
            member.host,
            slow_since=tree.now,
            slow_have_bytes=report.have_bytes,
            slow_offered_bytes=report.offered_bytes,
        )
    return pace


def _slow_pace(tree: RelayTree, member: RelayMember, report: RelayReport, seconds: float) -> Pace | None:
    """Return the pace of the host since its first report, so many seconds ago, if it was too slow; else None."""
    pace = Pace(
        own=int((report.have_bytes - member.slow_have_bytes) / seconds),
        parents=int((report.offered_bytes - member.slow_offered_bytes) / seconds),
    )
    lag = report.offered_bytes - report.have_bytes
    parent = tree.find(member.parent)
    if parent is not None and parent.state is MemberState.COMPLETE and not pace.parents:
        # The parent's own rate may be that of another link.
        pace = replace(pace, parents=typical_rate(tree) or parent.rate_bytes_per_s)
        if seconds <= _WATCHED_AT_MOST_S:  # a host behind it reports only if it was far faster before
            return pace if lag > LAG_S * pace.own else None
    return pace if pace.own < _GAIN * pace.parents and lag > LAG_S * pace.parents else None


def relieve(tree: RelayTree, host: str, pace: Pace) -> None:
    """Change as few edges as needed so that a host which receives too slowly holds up no other.

    If its parent has another child, one of the two goes elsewhere. If another host was as slow with this parent before,
    the parent is the slow one. Otherwise the host goes to the end as a leaf, and its children go to its parent.
    """
    member = tree[host]
    parent = tree[member.parent]
    siblings = [child for child in tree.children(parent.host) if child.host != host]
    tree.update(host, slow_since=None)
    if not parent.rate_bytes_per_s:
        tree.update(parent.host, rate_bytes_per_s=pace.parents)
    if member.is_leaf and not siblings and pace.own < member.link_bytes_per_s:
        tree.update(host, link_bytes_per_s=max(1, pace.own))  # When it was named, it had just become slow.
    if member.is_leaf or (
        0 < member.link_bytes_per_s < _RECOVERED * pace.own and is_slower(member, parent, pace.parents)
    ):
        _bypass(tree, host)  # It is known to be slow, and no surprise.
        return
    if 0 < member.link_bytes_per_s < _USUAL * pace.own:
        return  # It is as fast as ever; its parent was faster for a moment.
    if siblings and _spread(tree, [member, *siblings]):
        return
    accusers = [each for each in tree if each.host != host and each.slow_with == (parent.host,)]
    if parent.source is Source.HOST and any(_is_alike(each.link_bytes_per_s, pace.own) for each in accusers):
        for accuser in accusers:
            tree.update(accuser.host, slow_with=(), link_bytes_per_s=0, is_leaf=False)
        _bypass(tree, parent.host)
        return
    slow_with = (*(name for name in member.slow_with if name != parent.host), parent.host)
    tree.update(host, slow_with=slow_with, link_bytes_per_s=max(1, pace.own))
    _bypass(tree, host)


def note_pace(tree: RelayTree, report: RelayReport) -> None:
    """Forget that a host was slow when a regular report shows that it keeps up, and faster than it was then."""
    member = tree[report.host]
    lag = report.offered_bytes - report.have_bytes
    keeps_up = report.offered_bytes > 0 and lag <= LAG_S * report.rate_bytes_per_s
    if member.is_leaf and keeps_up and report.rate_bytes_per_s > _RECOVERED * member.link_bytes_per_s:
        tree.update(member.host, is_leaf=False, link_bytes_per_s=report.rate_bytes_per_s, slow_with=())


def take_over(tree: RelayTree, host: str) -> None:
    """Assign a host that its parent serves badly to one that has every piece and no child, if there are any."""
    giver = tree.find(host)
    if giver is None or giver.state is not MemberState.COMPLETE or not tree.serves(giver) or tree.children(host):
        return
    typical = typical_rate(tree)
    badly_served = [
        member
        for member in tree
        if member.source is Source.HOST
        and _serves_badly(tree, member, typical)
        and member in tree.children(member.parent)
        and tree.accepts(member, host)
        and _lacks_much(tree, member)
    ]
    if badly_served:
        tree.follow(min(badly_served, key=lambda each: (not each.is_leaf, each.have_bytes)).host, host)


def _serves_badly(tree: RelayTree, member: RelayMember, typical: int) -> bool:
    """Return whether the member's parent is slow, has several children, or certainly has less than the member."""
    parent = tree.find(member.parent)
    if parent is None:
        return False
    if len(tree.children(parent.host)) > 1:
        return True
    if parent.state is not MemberState.ACTIVE:
        return False
    return parent.is_leaf or most_bytes(parent, tree, typical) < member.have_bytes


def _lacks_much(tree: RelayTree, member: RelayMember) -> bool:
    """Return whether a new connection is worth its time."""
    left = tree.relay.size_bytes - member.have_bytes
    return not tree.relay.size_bytes or left > member.rate_bytes_per_s


def _spread(tree: RelayTree, children: list[RelayMember]) -> bool:
    """Move one of the children of a host to the end, the slow ones first; return whether one was moved."""
    for child in sorted(children, key=lambda each: (not each.is_leaf, each.have_bytes)):
        found = best_parent(tree, child.host)
        if found and _would_hold_up(tree, child, tree[found]):
            continue
        if found and found != child.parent and all(other.is_leaf for other in tree.children(found)):
            tree.follow(child.host, found)
            return True
    return False


def _would_hold_up(tree: RelayTree, child: RelayMember, parent: RelayMember) -> bool:
    """Return whether the child and those behind it would wait until this parent has as much as the child."""
    is_behind = parent.state is MemberState.ACTIVE and most_bytes(parent, tree, typical_rate(tree)) < child.have_bytes
    return is_behind and tree.has_children(child.host)


def _bypass(tree: RelayTree, host: str) -> None:
    """Move the host to the end as a leaf, and those behind it that are faster to its parent."""
    above = tree[host].parent
    tree.update(host, is_leaf=True)
    if _free_children(tree, host):
        end = best_parent(tree, host)
        if end is not None and end != above:
            tree.follow(host, end)


def _free_children(tree: RelayTree, host: str) -> bool:
    """Let the children of a slow host that are faster receive from its parent; return whether there were any.

    Of those that were slow themselves the faster ones go to the end.
    """
    slow, typical = tree[host], typical_rate(tree)
    children = tree.children(host)
    held_up = [child for child in children if not child.is_leaf and not is_slower(child, slow, typical)]
    for child in held_up:
        if tree.accepts(child, slow.parent):
            tree.follow(child.host, slow.parent)
    for child in children:
        if child.is_leaf and is_slower(slow, child, typical):
            place(tree, child.host)
    return bool(held_up)


def _is_alike(one: int, other: int) -> bool:
    return one < 2 * other and other < 2 * one
