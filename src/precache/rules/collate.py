"""Sort the hosts of a job by cell, and say which of them may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from precache.core.hosts import Host


@dataclass(frozen=True, slots=True)
class Collation:
    """The hosts of a job, each in exactly one place.

    by_cell: hosts to ask, by cell name; within a cell in the order of the request.
    down: hosts that are known but not up.
    unmapped: hosts that no inventory knows, or that belong to no cell.
    """

    by_cell: Mapping[str, tuple[Host, ...]]
    down: tuple[Host, ...]
    unmapped: tuple[str, ...]


def collate(names: Iterable[str], known: Mapping[str, Host], now: datetime, service_down_time: timedelta) -> Collation:
    """Place every host of `names` (duplicates once) by what `known` says of it."""
    by_cell: dict[str, list[Host]] = {}
    down: list[Host] = []
    unmapped: list[str] = []
    for name in dict.fromkeys(names):
        host = known.get(name)
        if host is None or host.cell is None:
            unmapped.append(name)
        elif not host.is_up(now, service_down_time):
            down.append(host)
        else:
            by_cell.setdefault(host.cell, []).append(host)
    return Collation({cell: tuple(hosts) for cell, hosts in by_cell.items()}, tuple(down), tuple(unmapped))
