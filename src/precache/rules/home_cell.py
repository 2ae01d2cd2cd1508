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
    return {beat for beat in beats if is_of_other_cell(known.get(beat.host), beat.cell, service_down_time)}


def is_of_other_cell(host: Host | None, cell: str, service_down_time: timedelta) -> bool:
    """Return whether the host belongs to another cell than this one, by the same rule."""
    if host is None or host.cell is None or host.cell == cell or host.silent_for is None:
        return False
    return host.silent_for <= service_down_time
