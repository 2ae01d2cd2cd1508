"""Which hosts of a relay fetch from the image service: as few as may, one after another."""

from __future__ import annotations

from precache.core.relays import MemberState, RelayMember, Source
from precache.rules.relay_forgiveness import forgive, lost_complete
from precache.rules.relay_places import place
from precache.rules.relay_tree import RelayTree


def settle(tree: RelayTree) -> None:
    """Assign a place to each host without one: at the image service within its budget, behind a host, or in the queue.

    Call it after any change of who is there, or who can reach whom.
    """
    if tree.relay.reason:
        return
    _appoint(tree)
    for member in sorted(tree.orphans(), key=lambda orphan: -orphan.have_bytes):
        place(tree, member.host)
    for member in sorted(tree.waiting, key=_turn):
        place(tree, member.host)
    if tree.waiting and tree.complaining:
        forgive(tree)
        for member in sorted(tree.waiting, key=_turn):
            place(tree, member.host)
    _serve_queue(tree)


def _appoint(tree: RelayTree) -> None:
    """Send hosts to the image service until enough attest what they find, and one at least has or fetches the image."""
    while _is_origin_missing(tree):
        standby = _standby(tree)
        if standby is None:
            return
        tree.fetch(standby.host)


def _is_origin_missing(tree: RelayTree) -> bool:
    fetching = len(tree.fetching)
    if fetching >= tree.relay.attestations:
        return False
    if not tree.relay.root:
        attesting = fetching + sum(bool(member.root) and not _fetches(member) for member in tree)
        if attesting < tree.relay.attestations:
            return True
    if fetching or any(tree.serves(member) for member in tree.complete):
        return False
    return not any(
        tree.could_serve(member, name) for name in lost_complete(tree) for member in tree if _is_active(member)
    )


def _standby(tree: RelayTree) -> RelayMember | None:
    """Return the host that is sent to the image service next: the one with most pieces, then the best uplink."""
    able = [
        member
        for member in tree
        if member.state is MemberState.ACTIVE and member.source is not Source.IMAGE_SERVICE and not member.root
    ]
    # Reports are seconds old, but a host never has less than those that receive from it.
    heads = [member for member in able if member.source is Source.WAIT or tree.is_orphan(member)]
    return min(
        heads or able,
        key=lambda each: _as_standby(tree, each),
        default=None,
    )


def _as_standby(tree: RelayTree, member: RelayMember) -> tuple[bool, int, bool, int, int]:
    # A host of a site at the top can serve all; one of a site below serves its own site only.
    below = len(member.above)
    return not tree.serves(member), below, member.is_leaf, -member.have_bytes, -member.uplink_bytes_per_s


def _serve_queue(tree: RelayTree) -> None:
    """Send the oldest of those that can reach no other host to the image service, if its budget allows it."""
    complete = lost_complete(tree)
    for member in sorted(tree.waiting, key=_turn):
        if len(tree.fetching) >= tree.relay.attestations:
            return
        if tree[member.host].source is not Source.WAIT or any(tree.could_serve(member, name) for name in complete):
            continue
        tree.fetch(member.host)
        for other in sorted(tree.waiting, key=_turn):
            place(tree, other.host)


def _is_active(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE


def _fetches(member: RelayMember) -> bool:
    return member.state is MemberState.ACTIVE and member.source is Source.IMAGE_SERVICE


def _turn(member: RelayMember) -> tuple[int, float, str]:
    """Return what orders the queue: hosts of the site at the top first, which can serve all; then the oldest."""
    return len(member.above), member.waiting_since.timestamp() if member.waiting_since else 0.0, member.host
