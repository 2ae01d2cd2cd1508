"""Whether another host is to take the place of a seeder: it is much faster, or of a site above."""

from __future__ import annotations

from datetime import timedelta

from precache.core.relays import MemberState, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_places import best_parent, is_slower, typical_rate
from precache.rules.relay_sites import crosses
from precache.rules.relay_tree import RelayTree

_COLLAPSED = 0.2
"""A seeder is slow if it gains less than this share of its best rate."""

_WORTH = 1.5
"""Another one starts if the rest would take this seeder so many times as long as the whole takes at its best rate."""

_WATCHED = timedelta(seconds=4.5)
"""The time over which gains count: of two reports that follow each other. Conversions advance in parts, and an image
service may pause."""

_LEAST_WATCHED = timedelta(seconds=1)
"""The same for the first report: its rate is that with which the next ones are compared."""

_NEW = timedelta(seconds=2)
"""Hosts are called at about the same time: the best one may be a moment later than another one."""


def watch_seeder(tree: RelayTree, report: RelayReport) -> None:
    """Note how fast the seeder gets the image, before the report is stored; replace it if another one is much faster.

    This happens twice in a relay at most: if the next ones are slow, too, it is the image service that is.
    """
    member = tree.find(report.host)
    if member is None or report.kind is not ReportKind.PROGRESS or not _seeds(member):
        return
    if member.slow_since is None:  # a conductor of the previous release lets it fetch, and does not note when
        tree.update(member.host, slow_since=tree.now, slow_have_bytes=report.have_bytes)
        return
    watched = tree.now - member.slow_since
    is_first = not member.best_bytes_per_s
    if watched < (_LEAST_WATCHED if is_first else _WATCHED):
        return
    rate = _rate(member, report, watched.total_seconds())
    # Not the rate of earlier relays: now the seeders of other sites may share the image service with this one.
    best = max(member.best_bytes_per_s, rate)
    tree.update(member.host, best_bytes_per_s=best, slow_since=tree.now, slow_have_bytes=report.have_bytes)
    size, left = tree.relay.size_bytes, tree.relay.size_bytes - report.have_bytes
    if rate < _COLLAPSED * best and left * best > _WORTH * size * max(rate, 1):
        _replace(tree, member.host, rate)


def _rate(member: RelayMember, report: RelayReport, seconds: float) -> int:
    """Return the rate of the download, or that of the gain in this time if it is greater and may be of the download."""
    gain = int((report.have_bytes - member.slow_have_bytes) / seconds)
    most = member.link_bytes_per_s or report.rate_bytes_per_s  # zeros are there at once
    return max(report.rate_bytes_per_s, min(gain, most) if most else gain)


def prefer_above(tree: RelayTree, host: str) -> None:
    """Let a host that has just joined fetch in place of a seeder of a site below, which may not serve it.

    Else the image service would send the image once more, for the site above.
    """
    joining = tree[host]
    if joining.source is not Source.WAIT or not tree.serves(joining):
        return
    for seeder in tree.fetching:
        if joining.site in seeder.above and _has_nothing_yet(tree, seeder):
            tree.fetch(host)
            tree.wait(seeder.host)
            return


def prefer_faster(tree: RelayTree, host: str) -> None:
    """Let a host that has just joined fetch in place of the seeder, if that is known to be slow and has nothing yet."""
    joining = tree[host]
    if tree.relay.root or joining.is_leaf or not tree.serves(joining) or joining.source is not Source.HOST:
        return
    for seeder in tree.fetching:
        if crosses(joining, seeder):
            continue
        if _has_nothing_yet(tree, seeder) and is_slower(seeder, joining, typical_rate(tree)):
            tree.fetch(host)
            tree.wait(seeder.host)
            for child in tree.children(seeder.host):
                tree.follow(child.host, host)
            return


def _replace(tree: RelayTree, host: str, rate: int) -> None:
    if len(tree.relay.signers) > tree.relay.attestations + 1 or tree.relay.root:
        return
    own = [child for child in tree.children(host) if not crosses(child, tree[host])]
    able = [child for child in own if tree.serves(child) and not child.is_leaf]
    if not able:
        return
    following = max(able, key=lambda child: (child.have_bytes, child.uplink_bytes_per_s))
    tree.fetch(following.host)
    tree.update(host, is_leaf=True, link_bytes_per_s=max(1, rate))
    parent = best_parent(tree, host)
    if parent is None:
        tree.wait(host)
    else:
        tree.follow(host, parent)


def _has_nothing_yet(tree: RelayTree, seeder: RelayMember) -> bool:
    is_new = seeder.joined_at is not None and tree.now - seeder.joined_at < _NEW
    return is_new and not seeder.have_bytes


def _seeds(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE and member.source is Source.IMAGE_SERVICE
