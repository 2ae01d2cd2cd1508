"""Sites that receive images from other sites, along the tree that operators configure (`[swarm] site_parents`).

The hosts of such sites take part in the relay of the site at the top. Between two sites an image goes once: the first
host of a site receives it from a host of a site above, and the others of its site from it and from each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from precache.core.relays import MemberState, Relay, RelayMember, Source


def sites_above(site: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sites from which this one may receive, the nearest first. parents: a tree."""
    found: list[str] = []
    while (parent := parents.get(found[-1] if found else site)) is not None and parent not in (site, *found):
        found.append(parent)
    return tuple(found)


def top_site(site: str, above: tuple[str, ...]) -> str:
    """Return the site whose relay a host takes part in. above: from `sites_above`."""
    return above[-1] if above else site


def sites_of(relay: Relay) -> frozenset[str]:
    """Return the sites whose hosts take part in the relay: its own, and those below it."""
    return frozenset({relay.key.site, *(member.site for member in relay.members if member.site)})


def crosses(child: RelayMember, parent: RelayMember) -> bool:
    return child.site != parent.site


def may_cross(child: RelayMember, parent: RelayMember, members: Mapping[str, RelayMember]) -> bool:
    """Return whether this host may receive from one of another site.

    It must be a site above, and no other host of its own site brings the image there, unless it has lost that one.
    """
    if parent.site not in child.above:
        return False
    return not any(_brings(other, members) for other in _others(child, members.values()))


def _others(child: RelayMember, members: Iterable[RelayMember]) -> Iterable[RelayMember]:
    for other in members:
        if other.site == child.site and other.host not in (child.host, *child.lost, *child.wrong):
            yield other


def _brings(member: RelayMember, members: Mapping[str, RelayMember]) -> bool:
    """Return whether the member gets the image into its site, or has it, and serves it there."""
    if member.state is MemberState.LEFT or not member.address:
        return False
    if member.state is MemberState.COMPLETE or member.source is Source.IMAGE_SERVICE:
        return True
    parent = members.get(member.parent)
    return member.source is Source.HOST and parent is not None and crosses(member, parent)
