"""Read what the caches of hosts hold. The number of statements does not depend on the number of hosts and images."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select

from precache.adapters.inventory_sql.cache_rows import read_cache, read_entry_row, read_image_row
from precache.adapters.inventory_sql.hosts import by_code_point
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import cache_entries, cached_images, cells, host_caches, hosts
from precache.core.cache_entries import CachedEntry, EntryState, Verification
from precache.core.cache_inventory import (
    EVERY_CACHED_IMAGE,
    EVERY_ENTRY,
    CachedImage,
    EntryFilter,
    HostCache,
    HostEntry,
    ImageFilter,
)

_ENTRIES = select(
    *(cache_entries.c[name] for name in ("entry", "state", "verification", "disks", "allocated_bytes", "document")),
    cached_images.c.image,
    cached_images.c.name,
)
"""What is read of an entry, and no more: the drivers take time for each value, and pages have a thousand rows."""


class SqlCacheQueries:
    """The port `CacheQueries`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def find_caches(self, names: Sequence[str]) -> dict[str, HostCache]:
        found: dict[str, HostCache] = {}
        now = self._database.now().label("now")
        statement = select(hosts.c.name.label("host"), now, host_caches).join_from(host_caches, hosts, _IS_OF_HOST)
        with self._database.read() as connection:
            for part in batches(names):
                for row in connection.execute(statement.where(hosts.c.name.in_(part))):
                    found[row.host] = read_cache(row, row.now)
        return found

    @repeatable
    def list_entries(
        self, host: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[CachedEntry]:
        statement = (
            _ENTRIES.join_from(cache_entries, hosts, hosts.c.id == cache_entries.c.host_id)
            .join(cached_images, _IS_OF_IMAGE)
            .where(hosts.c.name == host, *_conditions(only))
        )
        if marker is not None:
            statement = statement.where(cache_entries.c.entry > marker)
        with self._database.read(is_one_statement=True) as connection:
            rows = connection.execute(statement.order_by(cache_entries.c.entry).limit(limit)).all()
        return [read_entry_row(row) for row in rows]

    @repeatable
    def list_hosts(
        self, entry: str, *, only: EntryFilter = EVERY_ENTRY, limit: int | None = None, marker: str | None = None
    ) -> list[HostEntry]:
        columns = (hosts.c.name.label("host"), cells.c.name.label("cell"), host_caches.c.reported_at)
        statement = (
            _ENTRIES.add_columns(*columns)
            .join_from(cache_entries, hosts, hosts.c.id == cache_entries.c.host_id)
            .join(host_caches, _IS_OF_HOST)
            .join(cached_images, _IS_OF_IMAGE)
            .join(cells, cells.c.id == hosts.c.cell_id, isouter=True)
            .where(cache_entries.c.entry == entry, *_conditions(only))
        )
        with self._database.read(is_one_statement=True) as connection:
            name = by_code_point(connection, hosts.c.name)
            if marker is not None:
                statement = statement.where(name > marker)
            rows = connection.execute(statement.order_by(name).limit(limit)).all()
        return [HostEntry(row.host, row.cell, read_entry_row(row), row.reported_at) for row in rows]

    @repeatable
    def list_images(
        self, *, only: ImageFilter = EVERY_CACHED_IMAGE, limit: int | None = None, marker: str | None = None
    ) -> list[CachedImage]:
        statement = select(cached_images).where(*_image_conditions(only))
        if marker is not None:
            statement = statement.where(cached_images.c.entry > marker)
        with self._database.read(is_one_statement=True) as connection:
            rows = connection.execute(statement.order_by(cached_images.c.entry).limit(limit)).all()
        return [read_image_row(row) for row in rows]

    @repeatable
    def find_images(self, entries: Sequence[str]) -> dict[str, CachedImage]:
        found: dict[str, CachedImage] = {}
        with self._database.read() as connection:
            for part in batches(entries):
                for row in connection.execute(select(cached_images).where(cached_images.c.entry.in_(part))):
                    found[row.entry] = read_image_row(row)
        return found


_IS_OF_HOST = hosts.c.id == host_caches.c.host_id
_IS_OF_IMAGE = cached_images.c.entry == cache_entries.c.entry


def _conditions(only: EntryFilter) -> list[ColumnElement[bool]]:
    """Return what must hold for an entry that the filter selects."""
    found: list[ColumnElement[bool]] = []
    if only.state is not None:
        found.append(cache_entries.c.state == only.state)
    if only.is_pinned is not None:
        found.append(cache_entries.c.is_pinned.is_(only.is_pinned))
    if only.verification is not None:
        found.append(cache_entries.c.verification == only.verification)
    if only.is_unused is not None:
        disks = cache_entries.c.disks
        found.append(disks == 0 if only.is_unused else or_(disks != 0, disks.is_(None)))
    return found


def _image_conditions(only: ImageFilter) -> list[ColumnElement[bool]]:
    of = cached_images.c
    found: list[ColumnElement[bool]] = []
    if only.state is not None:
        found.append((of.missing if only.state is EntryState.MISSING else of.present) > 0)
    if only.is_pinned is not None:
        found.append(of.pinned > 0 if only.is_pinned else of.pinned == 0)
    if only.verification is Verification.UNVERIFIED:
        found.append(of.present > of.intact + of.corrupt + of.unverifiable)
    elif only.verification is not None:
        found.append(of[only.verification.value] > 0)
    if only.is_unused is not None:
        found.append(of.unused == of.present if only.is_unused else of.unused != of.present)
    if only.statuses:
        known = of.status.in_(sorted(filter(None, only.statuses)))
        found.append(or_(known, of.status.is_(None)) if None in only.statuses else known)
    if only.name is not None:
        found.append(of.name == only.name)
    return found
