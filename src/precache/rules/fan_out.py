"""Which host of a job is asked next, so that a slow cell does not hold up the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from precache.core.hosts import Host


class FanOut:
    """The hosts that are still to be asked, and how many of each cell are being asked. For one thread at a time.

    by_cell: the hosts to ask; within a cell they are taken in this order.
    """

    def __init__(self, by_cell: Mapping[str, Iterable[Host]]) -> None:
        self._waiting = {cell: deque(hosts) for cell, hosts in by_cell.items()}
        self._under_way: Counter[str] = Counter()

    def __len__(self) -> int:
        """Count the hosts that nobody has taken yet."""
        return sum(len(hosts) for hosts in self._waiting.values())

    def take(self) -> tuple[str, Host] | None:
        """Return cell and host of the next one to ask: of the cell that has the fewest under way.

        Among equals the cell that was taken from the longest ago, at first in the order of the request. So hosts that
        take for ever fill no more than their own cell's share, as long as others wait. None if all are taken.
        """
        cell = min(
            (cell for cell, hosts in self._waiting.items() if hosts),
            key=lambda cell: self._under_way[cell],
            default=None,
        )
        if cell is None:
            return None
        self._under_way[cell] += 1
        hosts = self._waiting.pop(cell)
        self._waiting[cell] = hosts  # at the end, so that its turn comes last among equals
        return cell, hosts.popleft()

    def ended(self, cell: str) -> None:
        """Note that one host of the cell is no longer being asked."""
        self._under_way[cell] -= 1
