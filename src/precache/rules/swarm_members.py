"""Which hosts may take part in swarms: those that get certificates and tickets."""

from __future__ import annotations

from datetime import timedelta

from precache.core.hosts import Host


def why_no_member(host: Host | None, cell: str) -> str:
    """Return why the host may not take part, in words; empty if it may as soon as it is heard.

    host: as the inventory has it; None if it does not. cell: on whose bus the host asks.
    """
    if host is None:
        return "it is not in the inventory"
    if host.cell != cell:
        return f"it asks on the bus of cell {cell}, and the inventory has it in cell {host.cell or '(none)'}"
    if host.forced_down:
        return "it is marked as down"
    if host.silent_for is None:
        return "it has sent no heartbeat yet"
    if host.owner_says_down:
        return "nova-compute on it is down"
    return ""


def why_silent(host: Host, service_down_time: timedelta) -> str:
    """Return for how long no heartbeat of the host was stored, in words; empty if that is short.

    After an outage of the database all hosts are silent, until their next heartbeats are stored.
    """
    if host.silent_for is not None and host.silent_for > service_down_time:
        return f"its last heartbeat is {host.silent_for.total_seconds():.0f} s old"
    return ""
