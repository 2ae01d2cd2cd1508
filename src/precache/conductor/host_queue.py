"""The hosts of one run that are to be called later, each with its time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from precache.core.hosts import Host


class HostQueue:
    """Each host is in it at most once. For one thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[datetime, Host]] = {}
        self._heap: list[tuple[datetime, int, str]] = []  # also the earlier times of hosts that got a later one
        self._order = count()

    def put(self, host: Host, due_at: datetime) -> None:
        """Add the host. If it waits already, the later time counts: two of its images may have failed."""
        if host.name in self._waiting:
            due_at = max(due_at, self._waiting[host.name][0])
        self._waiting[host.name] = (due_at, host)
        heapq.heappush(self._heap, (due_at, next(self._order), host.name))

    def take(self, now: datetime) -> Mapping[str, list[Host]]:
        """Remove and return the hosts that are due, by cell, each cell in the order of the times."""
        by_cell: defaultdict[str, list[Host]] = defaultdict(list)
        while self._heap and self._heap[0][0] <= now:
            due_at, _, name = heapq.heappop(self._heap)
            if name in self._waiting and self._waiting[name][0] == due_at:
                host = self._waiting.pop(name)[1]
                by_cell[host.cell or ""].append(host)
        return by_cell

    @property
    def hosts(self) -> list[Host]:
        return [host for _, host in self._waiting.values()]

    def __len__(self) -> int:
        return len(self._waiting)
