"""Which cell a host belongs to when several cells report it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from precache.core.hosts import Heartbeat, Host


def heartbeats_of_other_cells(
    beats: Iterable[Heartbeat], known: Mapping[str, Host], service_down_time: timedelta
) -> set[Heartbeat]:
    """Return the heartbeats of hosts of another cell, which got one of the host within `service_down_time`.

    So no cell can take another's hosts, and two hosts with one name do not alternate. A host that moved belongs to its
    new cell when its old cell has had no heartbeat of it for that long.
    """
    found = set()
    for beat in beats:
        host = known.get(beat.host)
        if host is None or host.cell is None or host.cell == beat.cell or host.silent_for is None:
            continue
        if host.silent_for <= service_down_time:
            found.add(beat)
    return found
