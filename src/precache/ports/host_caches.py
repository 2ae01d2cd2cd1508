"""What hosts hold in their caches, asked now: one host for its conductor, and many hosts for the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.host_survey import Survey


class HostCaches(Protocol):
    """For the conductor."""

    def describe_cache(self, host: str, cell: str, images: Sequence[ImageSize], within: timedelta) -> CacheContents:
        """Ask the host which of the images its cache holds; wait `within` at most, which is some seconds.

        Nothing changes on the host. Raises ComputeUnreachable if it does not answer in time; ComputeOutdated;
        BusUnavailable; Stopped if this process or the host's compute is being stopped; over direct calls also what the
        host raises.
        """
        ...


class CacheSurvey(Protocol):
    """For the API."""

    def ask(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:
        """Ask the hosts which of the images their caches hold; return one report for each host, within half a minute.

        A host that does not answer in time is reported as unknown, with the reason. Nothing changes on any host.
        Raises ConductorUnavailable, BusUnavailable, InventoryUnavailable, StoreUnavailable.
        """
        ...
