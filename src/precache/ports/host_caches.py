"""The caches of hosts, asked now: what they hold, and to be cleaned. For conductors and for the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from precache.core.cache_cleaning import CleanRequest, CleanResult
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

    def clean_cache(self, host: str, cell: str, request: CleanRequest, within: timedelta) -> CleanResult:
        """Have the host clean its cache now; wait `within` at most, after which the host may go on.

        A request that was lost is sent again: what the first one removed is then not in the answer. Raises as
        `describe_cache`.
        """
        ...


class CacheCleaning(Protocol):
    """For the API."""

    def clean(self, host: str, request: CleanRequest) -> CleanResult:
        """Have the host clean its cache now, and return what it removed; within half a minute.

        Raises CleanRefused with the host's own reason, HostNotReached, ConductorUnavailable, BusUnavailable,
        InventoryUnavailable, StoreUnavailable.
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
