"""The hosts of one run that are to be called later, each with its time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from precache.core.hosts import Host


class HostQueue:
    """For one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Host]] = []
        self._order = count()

    def put(self, host: Host, due_at: datetime) -> None:
        heapq.heappush(self._heap, (due_at, next(self._order), host))

    def take(self, now: datetime) -> Mapping[str, list[Host]]:
        """Remove and return the hosts that are due, by cell, each cell in the order of the times."""
        by_cell: defaultdict[str, list[Host]] = defaultdict(list)
        while self._heap and self._heap[0][0] <= now:
            host = heapq.heappop(self._heap)[2]
            by_cell[host.cell or ""].append(host)
        return by_cell

    def __len__(self) -> int:
        return len(self._heap)
