"""What the caches of all hosts hold: the store of their reports, and the views.

Errors: StoreUnavailable. A deleted host leaves nothing behind (`HostRemoval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from precache.core.cache_entries import CachedEntry, CacheReport
from precache.core.cache_inventory import (
    EVERY_CACHED_IMAGE,
    EVERY_ENTRY,
    CachedImage,
    EntryFilter,
    HostCache,
    HostEntry,
    ImageFilter,
)


class CacheReports(Protocol):
    """For the receivers of reports."""

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        """Store what hosts report of their caches; return the hosts that are not known, whose reports are not stored.

        A full report replaces what was stored of its host. A report of changes is added to the full report with the
        sequence `base`, and is ignored if another one is stored. A report that is older than the stored one, and one
        that is stored already, change nothing (`rules/report_order.py`). So reports may be lost, repeated, reordered.

        The number of statements grows with the entries that differ from the stored ones. A full report that differs
        in no entry changes one row. A number of hosts is stored in one transaction, all of them in several.
        """
        ...


class CacheQueries(Protocol):
    """For the API. Lists are in the order of code points; the marker is the last item of the page before, and need not
    exist any more. limit: None for all."""

    def find_caches(self, names: Sequence[str]) -> dict[str, HostCache]:
        """Return the caches of those of these hosts that have reported, by name."""
        ...

    def list_entries(
        self, host: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[CachedEntry]:
        """Return the entries of the host by `entry`; none of a host that has not reported."""
        ...

    def list_hosts(
        self, entry: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[HostEntry]:
        """Return the hosts that hold the entry, or should hold it, by name. entry: see `entry_name`."""
        ...

    def list_images(
        self, *, only: ImageFilter = EVERY_CACHED_IMAGE, limit: int | None = None, marker: str | None = None
    ) -> list[CachedImage]:
        """Return the images that some host holds, or should hold, by `entry`."""
        ...

    def find_images(self, entries: Sequence[str]) -> dict[str, CachedImage]:
        """Return those of these images that some host holds, or should hold, by `entry`."""
        ...
