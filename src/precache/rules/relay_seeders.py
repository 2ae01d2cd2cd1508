"""Whether the seeder has become so slow that another one is faster, although that one starts again."""

from __future__ import annotations

from datetime import timedelta

from precache.core.relays import MemberState, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_places import best_parent
from precache.rules.relay_tree import RelayTree

_COLLAPSED = 0.2
"""A seeder is slow if it gains less than this share of its best rate."""

_WORTH = 2.0
"""Another one starts if the rest would take this seeder so many times as long as the whole takes at its best rate."""

_LOOK = timedelta(seconds=4)
"""Between two looks at what a seeder has gained. Conversions advance in parts."""

_WATCHED = timedelta(seconds=8)


def watch_seeder(tree: RelayTree, report: RelayReport) -> None:
    """Note how fast the seeder gets the image, before the report is stored; replace it if another one is much faster.

    This happens once in a relay: if the second one is slow, too, it is the image service that is.
    """
    member = tree.find(report.host)
    if member is None or report.kind is not ReportKind.PROGRESS or not _seeds(member):
        return
    since = member.reported_at or member.joined_at
    if since is None or tree.now - since < _LOOK or not tree.relay.size_bytes:
        return
    rate = (report.have_bytes - member.have_bytes) / (tree.now - since).total_seconds()
    best = max(member.uplink_bytes_per_s, int(rate))
    left = tree.relay.size_bytes - report.have_bytes
    is_slow = rate < _COLLAPSED * best and left * best > _WORTH * tree.relay.size_bytes * max(rate, 1)
    slow_since = (member.slow_since or since) if is_slow else None
    tree.update(member.host, uplink_bytes_per_s=best, slow_since=slow_since)
    if slow_since is not None and tree.now - slow_since >= _WATCHED:
        _replace(tree, member.host)


def _replace(tree: RelayTree, host: str) -> None:
    if len(tree.relay.signers) > tree.relay.attestations or tree.relay.root:
        return
    able = [child for child in tree.children(host) if tree.serves(child) and not child.is_leaf]
    if not able:
        return
    following = max(able, key=lambda child: (child.have_bytes, child.uplink_bytes_per_s))
    tree.fetch(following.host)
    tree.update(host, is_leaf=True)
    parent = best_parent(tree, host)
    if parent is None:
        tree.wait(host)
    else:
        tree.follow(host, parent)


def _seeds(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE and member.source is Source.IMAGE_SERVICE
