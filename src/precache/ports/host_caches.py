"""What hosts hold in their caches, asked now: one host for its conductor, and many hosts for the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed

DescribeCacheCall = Callable[[Sequence[ImageSize]], CacheContents]
"""The host's end of `describe_cache`."""


def no_description(_images: Sequence[ImageSize]) -> CacheContents:
    """Answer for a compute that cannot describe its cache."""
    raise CacheNotDescribed


class HostCaches(Protocol):
    """For the conductor."""

    def describe_cache(self, host: str, cell: str, images: Sequence[ImageSize], within: timedelta) -> CacheContents:
        """Ask the host which of the images its cache holds; wait `within` at most, which is some seconds.

        Nothing changes on the host. Raises ComputeUnreachable if it does not answer in time; ComputeOutdated;
        BusUnavailable; Stopped if this process or the host's compute is being stopped; over direct calls also what the
        host raises.
        """
        ...
