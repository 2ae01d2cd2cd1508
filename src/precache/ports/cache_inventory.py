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
from precache.core.image_list import ImageFinding


class PackedReport(Protocol):
    """A report that is still compressed, because the reports of thousands of hosts may wait until they are stored."""

    @property
    def host(self) -> str: ...

    @property
    def cell(self) -> str: ...

    @property
    def is_full(self) -> bool: ...

    @property
    def size_bytes(self) -> int:
        """Return how much memory it takes."""
        ...

    def unpack(self) -> CacheReport | None:
        """Return the report; None if it is not valid, which is logged."""
        ...


class CacheReports(Protocol):
    """For hosts and the receivers of their reports."""

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        """Store what hosts report of their caches; return the hosts whose reports could not be stored or sent.

        The store returns hosts that are not known to it yet: their heartbeats come, too.

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


class ImageStatuses(Protocol):
    """For the conductor that compares the cached images with the image service."""

    def list_images(
        self, *, only: ImageFilter = EVERY_CACHED_IMAGE, limit: int | None = None, marker: str | None = None
    ) -> list[CachedImage]:
        """Return what `CacheQueries.list_images` returns."""
        ...

    def note_statuses(self, findings: Sequence[ImageFinding]) -> None:
        """Store the status of each of these images, with the present time, and its id and its name if they are known.

        Images that no host holds any more are left out. In short transactions, each of which is whole.
        """
        ...
