"""From which hosts pieces are requested, one after another: the parent, then the spares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from precache.core.relays import Assignment, Peer, Source

_MOST_REPEATS = 3


class Route:
    """The hosts of one assignment, and of those that follow it as long as the present host is still the right one."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.peer: Peer | None = None
        """The host from which pieces are requested now."""
        self.lost: list[str] = []
        """The hosts that were asked without success, in this order."""
        self._repeats: Counter[str] = Counter()

    def next(self, *, may_repeat: bool = False) -> Peer | None:
        """Return the next host; None if all were asked. The present one counts as lost from now on.

        may_repeat: the present host has answered, and then closed its connection: ask it again. It may have begun to
            serve another file: once when it begins to fetch the image, and twice if it fetches a damaged one again.
        """
        if self.peer is not None and may_repeat and self._repeats[self.peer.host] < _MOST_REPEATS:
            self._repeats[self.peer.host] += 1
            return self.peer
        if self.peer is not None:
            self.lost.append(self.peer.host)
        self.peer = next((peer for peer in self._peers() if peer.host not in self.lost), None)
        return self.peer

    def follow(self, assignment: Assignment) -> bool:
        """Follow this assignment, and return True, if the present host remains; else return False.

        It remains if it is the new parent, also at the same address; or if nothing but signed texts has changed.
        """
        if assignment.version == self.assignment.version or (
            assignment.source is Source.HOST and self.peer is not None and assignment.parent == self.peer
        ):
            self.assignment = assignment
            return True
        return False

    def _peers(self) -> Iterator[Peer]:
        if self.assignment.parent is not None:
            yield self.assignment.parent
        yield from self.assignment.spares
