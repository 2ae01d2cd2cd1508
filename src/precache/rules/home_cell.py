"""Which cell a host belongs to when more than one says that it has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from precache.core.hosts import Heartbeat, Host


def strangers(beats: Iterable[Heartbeat], known: Mapping[str, Host], service_down_time: timedelta) -> set[Heartbeat]:
    """Return the beats of hosts that another cell has: a host stays where it was heard of within `service_down_time`.

    So no cell can take another's hosts, and two hosts with one name do not take turns. A host that moved is its new
    cell's when its old one has not heard of it for that long.
    """
    found = set()
    for beat in beats:
        host = known.get(beat.host)
        if host is None or host.cell is None or host.cell == beat.cell or host.silent_for is None:
            continue
        if host.silent_for <= service_down_time:
            found.add(beat)
    return found
