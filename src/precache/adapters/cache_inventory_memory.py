"""What the caches of all hosts hold, in memory, for tests and for a service without a database."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from precache.core.cache_entries import CachedEntry, CacheReport
from precache.core.cache_inventory import (
    EVERY_CACHED_IMAGE,
    EVERY_ENTRY,
    CachedImage,
    CacheNumbers,
    EntryFilter,
    HostCache,
    HostEntry,
    ImageFilter,
)
from precache.core.hosts import Host
from precache.core.image_list import ImageFinding
from precache.core.images import ImageId
from precache.ports.clock import Clock
from precache.rules.report_order import CacheUpdate, StoredReport, next_update


@dataclass(frozen=True, slots=True)
class _Stored:
    report: StoredReport
    cache: HostCache
    entries: dict[str, CachedEntry]


class MemoryCacheInventory:
    """The ports of `ports/cache_inventory.py`. clock: by default this machine's.

    find_host: returns a known host by its name. Call `delete_host` when one was deleted.
    """

    def __init__(self, *, find_host: Callable[[str], Host | None], clock: Clock | None = None) -> None:
        self._find_host = find_host
        self._now = clock.now if clock else lambda: datetime.now(UTC)
        self._lock = threading.Lock()
        self._stored: dict[str, _Stored] = {}
        self._known: dict[str, tuple[ImageId | None, str | None]] = {}
        self._statuses: dict[str, tuple[str, datetime]] = {}

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        by_host: defaultdict[str, list[CacheReport]] = defaultdict(list)
        for report in reports:
            by_host[report.host].append(report)
        known = {host for host in by_host if self._find_host(host)}
        with self._lock:
            for host in known:
                before = self._stored.get(host)
                update = next_update(before.report if before else None, by_host[host])
                if update is not None:
                    self._stored[host] = _after(before, update, self._now())
            self._note_images()
        return frozenset(by_host.keys() - known)

    def delete_host(self, host: str) -> None:
        with self._lock:
            self._stored.pop(host, None)
            self._note_images()

    def find_caches(self, names: Sequence[str]) -> dict[str, HostCache]:
        now = self._now()
        with self._lock:
            found = {host: self._stored[host].cache for host in names if host in self._stored}
        return {host: replace(cache, age=now - cache.reported_at) for host, cache in found.items()}

    def list_entries(
        self, host: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[CachedEntry]:
        with self._lock:
            entries = self._stored[host].entries if host in self._stored else {}
            found = [self._named(each) for name, each in sorted(entries.items()) if marker is None or name > marker]
        return [each for each in found if only.admits(each)][:limit]

    def list_hosts(
        self, entry: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[HostEntry]:
        with self._lock:
            holders = [
                (host, self._named(stored.entries[entry]), stored.cache.reported_at)
                for host, stored in sorted(self._stored.items())
                if entry in stored.entries
            ]
        found = [
            HostEntry(host, known.cell, each, reported_at)
            for host, each, reported_at in holders
            if (marker is None or host > marker) and (known := self._find_host(host))
        ]
        return [each for each in found if only.admits(each.entry)][:limit]

    def list_images(
        self, *, only: ImageFilter = EVERY_CACHED_IMAGE, limit: int | None = None, marker: str | None = None
    ) -> list[CachedImage]:
        found = [each for each in self._images() if marker is None or each.entry > marker]
        return [each for each in found if only.admits(each)][:limit]

    def find_images(self, entries: Sequence[str]) -> dict[str, CachedImage]:
        return {each.entry: each for each in self._images() if each.entry in entries}

    def note_statuses(self, findings: Sequence[ImageFinding]) -> None:
        with self._lock:
            for each in findings:
                if each.entry in self._known:
                    image, name = self._known[each.entry]
                    self._known[each.entry] = (each.image or image, each.name or name)
                    self._statuses[each.entry] = (each.status.value, self._now())

    def _images(self) -> Iterable[CachedImage]:
        by_entry: defaultdict[str, list[CachedEntry]] = defaultdict(list)
        with self._lock:
            for stored in self._stored.values():
                for name, each in stored.entries.items():
                    by_entry[name].append(each)
            known, statuses = dict(self._known), dict(self._statuses)
        for name, entries in sorted(by_entry.items()):
            status, at = statuses.get(name, (None, None))
            yield CachedImage(name, *known[name], CacheNumbers.sum(entries), status, at)

    def _note_images(self) -> None:
        """Remember which image each entry is, and its name, from the first host that knows it."""
        entries = [each for stored in self._stored.values() for each in stored.entries.values()]
        known, self._known = self._known, {}
        for each in entries:
            image, name = self._known.get(each.entry) or known.get(each.entry) or (None, None)
            self._known[each.entry] = (image or each.image, name or each.image_name or None)
        self._statuses = {entry: status for entry, status in self._statuses.items() if entry in self._known}

    def _named(self, entry: CachedEntry) -> CachedEntry:
        image, name = self._known[entry.entry]
        return replace(entry, image=image, image_name=name or "")


def _after(before: _Stored | None, update: CacheUpdate, now: datetime) -> _Stored:
    if update.is_full or before is None:
        entries = dict(update.entries)
    else:
        entries = {name: each for name, each in before.entries.items() if name not in update.gone}
        entries |= update.entries
    last = update.last
    cache = HostCache(
        host=last.host,
        reported_at=now,
        numbers=CacheNumbers.sum(entries.values()),
        unlisted=last.unlisted,
        space=last.space,
        cache_id=last.cache_id,
        owner=last.owner,
        policy=last.policy,
        unsupported=last.unsupported,
        removals=last.removals,
        alarms=last.alarms,
    )
    return _Stored(update.stored, cache, entries)
