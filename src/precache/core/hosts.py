"""Compute hosts and the cells they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Host:
    """A compute host of the inventory.

    cell: name of its cell; None if the host is known but mapped to no cell.
    driver: the virt driver that its compute announced; empty until the first heartbeat.
    last_seen: instant of the last heartbeat, by the store's clock (aware UTC); None if there was none yet.
    silent_for: the age of `last_seen` when the host was read, by the same clock; None if there was no heartbeat.
    rpc_version: of the messages that its compute understands, such as `1.0`; empty without a bus.
    release: of precache on the host, such as `0.1.0`; empty if its compute does not report it.
    owner_says_down: the inventory is Nova's, and nova-compute on the host is down.
    announced_site: the local network that the host is in, as its compute announced it; empty if it announced none.
    aggregate_site: the same, as the metadata of an aggregate says it; empty if none does.
    cache_id: identifies the image cache of the host; the same for all hosts that share one; empty if unknown.
    """

    name: str
    cell: str | None
    driver: str = ""
    forced_down: bool = False
    last_seen: datetime | None = None
    rpc_version: str = ""
    owner_says_down: bool = False
    release: str = ""
    announced_site: str = ""
    aggregate_site: str = ""
    cache_id: str = ""
    silent_for: timedelta | None = field(default=None, compare=False)

    @property
    def site(self) -> str:
        """Return the name of the local network that the host is in: what its compute announced, else what an aggregate
        says, else its cell.
        """
        return self.announced_site or self.aggregate_site or self.cell or ""

    def is_up(self, service_down_time: timedelta) -> bool:
        """Return whether the host may be called: not marked as down, with a heartbeat within `service_down_time`."""
        if self.forced_down or self.owner_says_down or self.silent_for is None:
            return False
        return self.silent_for <= service_down_time


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One heartbeat: this host's compute is alive.

    cell: empty from a compute on a bus; the receiver knows the cell.
    release: of precache on the host; empty if unknown.
    seen_at: by the clock of the process that stores it, for the age of the heartbeat.
    site: the local network that the host is in; empty for its cell.
    cache_id: identifies the image cache of the host; empty if unknown.
    boot_id: a new one for every start of a compute, by which two with one name are distinguished; empty if unknown.
    """

    host: str
    cell: str
    driver: str
    seen_at: datetime
    rpc_version: str = ""
    boot_id: str = ""
    release: str = ""
    site: str = ""
    cache_id: str = ""
