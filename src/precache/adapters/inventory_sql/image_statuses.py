"""Store what the image service has of the cached images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from precache.adapters.inventory_sql.cache_numbers import lock_caches
from precache.adapters.inventory_sql.cache_queries import SqlCacheQueries
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import cached_images
from precache.core.cache_inventory import NUMBER_NAMES
from precache.core.image_list import ImageFinding

_IMAGES_AT_ONCE = 500
"""Reports of hosts wait for the transaction."""


class SqlImageStatuses:
    """The port `ImageStatuses`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self.list_images = SqlCacheQueries(database=database).list_images

    def note_statuses(self, findings: Sequence[ImageFinding]) -> None:
        for part in batches(findings, _IMAGES_AT_ONCE):
            self._note(part)

    @idempotent
    def _note(self, findings: Sequence[ImageFinding]) -> None:
        entries = [each.entry for each in findings]
        with self._database.write() as connection:
            lock_caches(connection)
            # All of them exist, so that no row is inserted: but one statement updates many.
            rows = _changes(connection, findings, entries)
            upsert(connection, cached_images, rows, key=["entry"], changing=["status", "image", "name"])
            is_meant = cached_images.c.entry.in_(entries)
            connection.execute(update(cached_images).where(is_meant).values(status_at=self._database.now()))


def _changes(connection: Connection, findings: Sequence[ImageFinding], entries: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows to write, of images that are stored otherwise."""
    columns = (cached_images.c.entry, cached_images.c.status, cached_images.c.image, cached_images.c.name)
    stored = {row.entry: row for row in connection.execute(select(*columns).where(cached_images.c.entry.in_(entries)))}
    found = []
    for each in findings:
        if (row := stored.get(each.entry)) is not None:
            image, name = each.image or row.image, each.name or row.name
            if (row.status, row.image, row.name) != (each.status, image, name):
                changed = {"entry": each.entry, "status": each.status.value, "image": image, "name": name}
                found.append(changed | dict.fromkeys(NUMBER_NAMES, 0))
    return found
