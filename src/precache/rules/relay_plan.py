"""What joins, reports and silence of hosts change in the plan of a relay.

Each function returns the changed relay, in which the version of every host whose assignment has changed has grown.
Nothing here reads a clock: `now` is the time at which the conductor got the message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from precache.core.relays import MemberState, Relay, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_assignment import report_interval_of
from precache.rules.relay_forgiveness import forget_losses, give_up_old
from precache.rules.relay_origins import settle
from precache.rules.relay_places import best_parent, put_before_slower
from precache.rules.relay_seeders import prefer_above, prefer_faster, watch_seeder
from precache.rules.relay_stragglers import note_pace, relieve, straggling, take_over
from precache.rules.relay_tree import RelayTree

_MISSED_REPORTS = 3

_ABANDONED_AFTER = timedelta(minutes=10)
"""Without a report of any host of a relay. Then no host works on the image any more, such as after a power cut."""

_FAULTS_BELIEVED = 2
"""The first one may be a host with a damaged memory or disk."""

_FAULTY = "a fault of the image"

_NEVER = datetime.min.replace(tzinfo=UTC)


def joined(relay: Relay, member: RelayMember, now: datetime) -> Relay:
    """Return the relay with this host in a place. One that has a place keeps it, with its new address and key.

    member: what is known of the host: name, address, key, sites, have_bytes, rates. The rest does not count.
    """
    tree = RelayTree(relay, now)
    old = tree.find(member.host)
    if old is not None and old.state is MemberState.ACTIVE:
        _renew(tree, old, member)
        settle(tree)
        return tree.finish()
    if old is not None:
        forget_losses(tree, member.host)
    tree.add(
        replace(
            member,
            state=MemberState.ACTIVE,
            source=Source.WAIT,
            parent="",
            root=old.root if old else "",
            version=old.version if old else 0,
            waiting_since=now,
            joined_at=now,
            reported_at=now,
        )
    )
    settle(tree)
    prefer_above(tree, member.host)
    prefer_faster(tree, member.host)
    settle(tree)
    put_before_slower(tree, member.host)
    return tree.finish()


def reported(relay: Relay, report: RelayReport, now: datetime) -> Relay:
    """Return the relay after this report; the same relay if the host is not one of its members."""
    member = relay.member(report.host)
    if member is None:
        return relay
    if is_routine(relay, member, report):
        noted = _noted(member, report, now)
        return replace(relay, members=tuple(noted if each is member else each for each in relay.members))
    tree = RelayTree(relay, now)
    watch_seeder(tree, report)
    if member.state is MemberState.LEFT and report.kind is not ReportKind.LEFT:
        tree.update(member.host, state=MemberState.ACTIVE, source=Source.WAIT, parent="", waiting_since=now)
    tree.note(_noted(tree[member.host], report, now))
    if report.size_bytes and not relay.size_bytes:
        tree.relay = replace(tree.relay, size_bytes=report.size_bytes)
    _adopt(tree, report)
    _CHANGES[report.kind](tree, report)
    return tree.finish()


def overdue(relay: Relay, now: datetime, report_interval_s: float = 2.0) -> Relay:
    """Return the relay without the hosts that are silent while others miss them.

    A host is silent after three of its intervals. It has left if another host has lost it, or if it waits itself. A
    host that fetches from the image service has left also if others wait. If no host of the relay reports, it is
    probably the messages that do not arrive: all have left only after ten minutes of that.
    """
    if all(not _is_silent(member, now, report_interval_s) for member in relay.members):
        return relay
    last = max(_last_sign(member) for member in relay.members)
    patience = timedelta(seconds=_MISSED_REPORTS * report_interval_s)
    is_abandoned = now - last > max(_ABANDONED_AFTER, patience)
    if now - last > patience and not is_abandoned:
        return relay
    tree = RelayTree(relay, now)
    for member in relay.members:
        if _is_silent(member, now, report_interval_s) and (is_abandoned or _is_missed(tree, member)):
            tree.update(member.host, state=MemberState.LEFT)
    settle(tree)
    return tree.finish()


def is_routine(relay: Relay, member: RelayMember, report: RelayReport) -> bool:
    """Return whether the report changes nothing but numbers, as most do. Then the other members need no look.

    relay: its members do not count.
    """
    return (
        report.kind is ReportKind.PROGRESS
        and member.state is MemberState.ACTIVE
        and member.source is Source.HOST
        and not member.is_leaf
        and (report.version != member.version or report.parent in ("", member.parent))
        and (relay.size_bytes > 0 or not report.size_bytes)
    )


def _noted(member: RelayMember, report: RelayReport, now: datetime) -> RelayMember:
    return replace(
        member,
        have_bytes=report.have_bytes,
        offered_bytes=report.offered_bytes if report.parent in ("", member.parent) else 0,
        rate_bytes_per_s=report.rate_bytes_per_s or member.rate_bytes_per_s,
        reported_at=now,
    )


def _renew(tree: RelayTree, old: RelayMember, new: RelayMember) -> None:
    if (new.address, new.key) != (old.address, old.key):
        forget_losses(tree, old.host)
        tree.update(old.host, lost=(), forgiven=0, wrong=())
    tree.update(
        old.host,
        address=new.address,
        key=new.key,
        site=new.site,
        above=new.above,
        have_bytes=new.have_bytes,
        uplink_bytes_per_s=new.uplink_bytes_per_s or old.uplink_bytes_per_s,
        link_bytes_per_s=new.link_bytes_per_s or old.link_bytes_per_s,
        reported_at=tree.now,
    )
    if old.source is Source.IMAGE_SERVICE:
        tree.sign(new.key)


def _adopt(tree: RelayTree, report: RelayReport) -> None:
    """Accept that a host has lost its parent and has gone to a spare by itself."""
    member = tree[report.host]
    is_current = report.version == member.version and member.source is Source.HOST
    if not is_current or report.kind not in (ReportKind.PROGRESS, ReportKind.SLOW, ReportKind.COMPLETE):
        return
    if report.parent in ("", member.parent) or not tree.accepts(member, report.parent):
        return
    if report.parent in tree.depths(without=member.host):
        _lose(tree, member.host, [member.parent])
        tree.follow(member.host, report.parent)


def _progress(tree: RelayTree, report: RelayReport) -> None:
    note_pace(tree, report)
    settle(tree)


def _slow(tree: RelayTree, report: RelayReport) -> None:
    settle(tree)
    pace = straggling(tree, report)
    if pace is not None:
        relieve(tree, report.host, pace)


def _lost_parent(tree: RelayTree, report: RelayReport) -> None:
    member = tree[report.host]
    parent = report.parent or (member.parent if report.version == member.version else "")
    _lose(tree, report.host, [*report.lost, parent])
    member = tree[report.host]
    if tree.is_orphan(member) and best_parent(tree, member.host) is None:
        _let_child_try(tree, member)
    settle(tree)


def _lose(tree: RelayTree, host: str, names: list[str]) -> None:
    member = tree[host]
    new = [name for name in dict.fromkeys(names) if name and name != host and tree.find(name) is not None]
    lost = (*(name for name in member.lost if name not in new), *new)
    tree.update(host, lost=lost, lost_at=tree.now if new else member.lost_at)
    for name in new:
        if tree.is_lost(name) and tree[name].state is MemberState.ACTIVE:
            # If it lives, its next report brings it back, as a host that receives pieces and passes on none.
            tree.update(name, state=MemberState.LEFT)
    give_up_old(tree, host, new)


def _let_child_try(tree: RelayTree, member: RelayMember) -> None:
    """Let a child of this host receive from its lost parent: either that works, or two hosts have lost the parent."""
    for child in sorted(tree.children(member.host), key=lambda each: -each.have_bytes):
        if tree.accepts(child, member.parent):
            tree.follow(child.host, member.parent)
            return


def _wrong_piece(tree: RelayTree, report: RelayReport) -> None:
    member = tree[report.host]
    named = tree.find(report.parent)
    if named is not None and named.host not in member.wrong:
        tree.update(member.host, wrong=(*member.wrong, named.host))
        if named.state is MemberState.ACTIVE and named.source is Source.IMAGE_SERVICE and tree.is_shunned(named.host):
            tree.wait(named.host)
    settle(tree)


def _complete(tree: RelayTree, report: RelayReport) -> None:
    member = tree[report.host]
    root = report.root if member.is_origin else ""
    if root and report.size_bytes and not tree.relay.root:
        # Until now it was what some host said first. From now on it is signed together with the root.
        tree.relay = replace(tree.relay, size_bytes=report.size_bytes)
    have = tree.relay.size_bytes or report.have_bytes
    tree.update(
        member.host, state=MemberState.COMPLETE, have_bytes=have, root=root, waiting_since=None, slow_since=None
    )
    _compare_roots(tree)
    settle(tree)
    for host in (member.parent, member.host):
        take_over(tree, host)


def _compare_roots(tree: RelayTree) -> None:
    found = [member for member in tree if member.root]
    other = next((member for member in found if member.root != found[0].root), None)
    if other is not None:
        reason = f"{found[0].host} found {found[0].root}, but {other.host} found {other.root}"
        tree.relay = replace(tree.relay, reason=tree.relay.reason or reason)
    elif len(found) >= tree.relay.attestations and not tree.relay.root:
        tree.relay = replace(tree.relay, root=found[0].root)


def _compare_faults(tree: RelayTree) -> None:
    """End the relay if enough hosts have found a fault of the image: each further one would only load the uplink."""
    found = [member for member in tree if member.fault]
    if len(found) >= _FAULTS_BELIEVED:
        hosts = " and ".join(member.host for member in found)
        tree.relay = replace(
            tree.relay, reason=tree.relay.reason or f"{hosts} fetched it, and found: {found[-1].fault}"
        )


def _left(tree: RelayTree, report: RelayReport) -> None:
    if report.is_image_faulty and tree[report.host].is_origin:
        tree.update(report.host, fault=report.reason or _FAULTY)
        _compare_faults(tree)
    tree.update(report.host, state=MemberState.LEFT, waiting_since=None, slow_since=None)
    settle(tree)


_CHANGES: dict[ReportKind, Callable[[RelayTree, RelayReport], None]] = {
    ReportKind.PROGRESS: _progress,
    ReportKind.SLOW: _slow,
    ReportKind.LOST_PARENT: _lost_parent,
    ReportKind.WRONG_PIECE: _wrong_piece,
    ReportKind.COMPLETE: _complete,
    ReportKind.LEFT: _left,
}


def _is_missed(tree: RelayTree, member: RelayMember) -> bool:
    if member.source is Source.WAIT or tree.is_complained_of(member.host):
        return True
    return member.source is Source.IMAGE_SERVICE and any(
        other.state is MemberState.ACTIVE and other.source is Source.WAIT for other in tree
    )


def _is_silent(member: RelayMember, now: datetime, report_interval_s: float) -> bool:
    if member.state is not MemberState.ACTIVE:
        return False
    own_interval_s = report_interval_of(member, report_interval_s)
    since = _last_sign(member)
    if member.assigned_at is not None:
        # It may have been told of its shorter interval just after a report.
        since = max(since, member.assigned_at + timedelta(seconds=report_interval_s - own_interval_s))
    return now - since > timedelta(seconds=_MISSED_REPORTS * own_interval_s)


def _last_sign(member: RelayMember) -> datetime:
    return max((at for at in (member.reported_at, member.joined_at) if at is not None), default=_NEVER)
