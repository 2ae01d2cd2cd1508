"""Which host of a job is called next, so that a slow cell does not delay the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from precache.core.hosts import Host


class FanOut:
    """The hosts that are still to be called, and how many of each cell are being called. For one thread at a time.

    by_cell: the hosts to call; within a cell they are taken in this order.
    """

    def __init__(self, by_cell: Mapping[str, Iterable[Host]]) -> None:
        self._waiting = {cell: deque(hosts) for cell, hosts in by_cell.items()}
        self._running: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of hosts that have not been taken."""
        return sum(len(hosts) for hosts in self._waiting.values())

    def take(self) -> tuple[str, Host] | None:
        """Return the next cell and host to call, from the cell with the fewest running calls; None if all are taken.

        Among equals it is the cell that was taken from the longest ago, at first in the order of the request. So while
        others wait, hosts that never end use only their own cell's share.
        """
        cell = min(
            (cell for cell, hosts in self._waiting.items() if hosts),
            key=lambda cell: self._running[cell],
            default=None,
        )
        if cell is None:
            return None
        self._running[cell] += 1
        hosts = self._waiting.pop(cell)
        self._waiting[cell] = hosts  # at the end, so that it is last among equals
        return cell, hosts.popleft()

    def ended(self, cell: str) -> None:
        """Record that the call to one host of the cell has ended."""
        self._running[cell] -= 1
